// The one source of the targets that own the precompiled headers (see tare.cmake); empty on purpose.

// The one source of the targets that own the precompiled headers (tare.cmake); empty on purpose.

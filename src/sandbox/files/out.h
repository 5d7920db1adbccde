// What tare-files says, on its stdout: buffered, blocking. Private to tare-files. A reader that is
// gone ends the process (SIGPIPE).
#pragma once

#include <cstddef>
#include <string_view>

#include "sandbox/files/protocol.h"

namespace tare::sandbox::files {

void put(const void* bytes, std::size_t size);
void flush();
// The whole answer, or its beginning.
void put_head(std::uint32_t error, std::uint64_t size = 0, std::uint32_t argument = 0);
// The exit status of a verb that ends with this answer: what errno says, or `error`.
int answer(std::uint32_t error, std::uint32_t argument = 0);
int answer_errno(std::uint32_t argument = 0);
// All of them, or false: the other end is closed.
bool get(void* bytes, std::size_t size);

// The verbs; paths are as the caller gave them, relative to the current folder.
int read_file(const char* path, std::uint64_t offset, std::uint64_t length);
int write_file(const char* path, unsigned mode);
int list_folder(const char* path, std::uint64_t most);
int stat_path(const char* path);
int move_path(const char* path, const char* to, bool replace);
int remove_path(const char* path, bool recursive);
int make_folder(const char* path, unsigned mode, bool parents);
int watch_path(const char* path);

}  // namespace tare::sandbox::files

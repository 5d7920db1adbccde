// The program steps that take something away from the process that applies them, or give it a
// terminal: ids, Landlock, the filter. 0 or errno. Private to program.cpp.
#pragma once

#include <cstdint>
#include <string_view>

namespace tare::sandbox::init {

int become(std::uint64_t uid, std::uint64_t gid);
// `listener`: where the filter hands over what is refused; -1 where the host allows none.
int install_filter(std::string_view bytes, int& listener);
int begin_ruleset(std::uint64_t rights, std::uint64_t scopes, int& ruleset);
int allow_beneath(const char* path, std::uint64_t rights, int ruleset);
int hold_ruleset(int ruleset);
// Controlling terminal and stdio of this process, a session's leader; `master`: its other end.
int make_terminal(std::uint64_t rows, std::uint64_t columns, int& master);

}  // namespace tare::sandbox::init

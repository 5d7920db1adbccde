// Which programs of this host a sandbox of the `host` environment would find, as a text that is
// another one when any of them was replaced or changed: for what was found out with them, and is to
// be forgotten then.
//
// Owner: RunnerTrials. Loop thread: some stat(2) each. Errors: nullopt, when a program is not found
// here, or is found by way of something that a session could change. What never happens: the files
// are read. Source: stat(2), path_resolution(7).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tare::host {

// Where a sandbox finds it; nullopt: nowhere, or in a folder of its own. `path`: as in the variable
// PATH. `root`: where the host's files are, "" but in tests.
std::optional<std::string> find_host_program(const std::string& name, std::string_view path,
                                             const std::string& root = {});

// Of all of these. Part of the text is what changes with the packages of a host: the records of
// dpkg, rpm and apk, the cache of the loader.
std::optional<std::string> host_programs(const std::vector<std::string>& names,
                                         std::string_view path, const std::string& root = {});

// The value of PATH among variables; "" when it is not there.
std::string_view path_of(const std::vector<std::string>& variables);

}  // namespace tare::host

// What the parts of tare-posture share: reading small files and folders, saying a line.
//
// Process: tare-posture, inside a sandbox, one thread. Nothing here fails: what cannot be read is
// empty, as it is for any program that looks.
#pragma once

#include <string>
#include <vector>

namespace tare::sandbox::posture {

using Lines = std::vector<std::string>;

void say(const std::string& line);
Lines read_lines(const std::string& path);
// Sorted, without "." and "..".
Lines names_in(const std::string& folder);
bool is_number(const std::string& text);
std::string link_of(const std::string& path);  // "?": it cannot be read

}  // namespace tare::sandbox::posture

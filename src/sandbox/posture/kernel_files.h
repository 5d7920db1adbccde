// Walks /proc and /sys and tries every entry: what can be listed, read, written, which links can be
// followed, what is masked. One line for each right in each folder:
//   file read /proc/sys/vm: admin_reserve_kbytes compaction_proactiveness ...
//
// Rights: `list` a folder; `read` opened, and gives bytes; `open` opened for reading, and gives
// none now; `write` opened for writing, or a folder in which names can be made; `link` its target
// can be read; `masked` covered by /dev/null or an empty folder. What has no right is not named.
// Nothing is ever written. Numbers are collapsed: /proc/<pid>, task/<tid>, <n>.
//
// Process: tare-posture, inside a sandbox. Source: proc(5).
#pragma once

namespace tare::sandbox::posture {

void kernel_file_lines();

}  // namespace tare::sandbox::posture

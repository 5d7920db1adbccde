// What an agent left in /output, copied to runs/<run>/output. The source is hostile: it was filled
// by the sandbox and may still change.
//
// Kept: files with their holes, folders, symlinks (as they are, never followed), further names of a
// file, mtime. Everything becomes tare's own; its owner can read and write files and enter folders;
// setuid, setgid and sticky bits are taken away. What cannot be kept is skipped, counted and (the
// first ones) named: a run's result is never lost for one bad file. Never happens: anything outside
// the given folder is read, or outside the destination written; a FIFO or device is opened; the
// walk waits. Units: bytes. Threads: one; runs in a job of its own.
#pragma once

#include "base/result.h"
#include "snapshot/layer_store.h"
#include "snapshot/protocol.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

// The copy: from `source` into `writer`, everything owned by uid, gid.
Result<Collected> copy_output(int source, TreeWriter& writer, const Collect& request, uid_t uid,
                              gid_t gid, const OnProgress& progress);

// All of it: copies to staging/<name>, makes it durable, moves it to runs/<run>/output. conflict
// when there is something in that folder already; not_found when there is no such run.
Result<Collected> collect(const LayerStore& store, const std::string& name, int source,
                          const Collect& request, const OnProgress& progress);

// Nothing to copy? Then the empty folder is made at once; nullopt when there is work to do.
Result<std::optional<Collected>> collect_nothing(const LayerStore& store, int source,
                                                 const Collect& request);

// runs/<run> with everything in it, through staging/<name>.
Result<> remove_run(const LayerStore& store, const std::string& name, const std::string& run);

}  // namespace tare::snapshot

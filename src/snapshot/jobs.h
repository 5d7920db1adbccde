// One request, carried out in a process of its own: the service forks, the child calls run_job and
// exits. So a hostile archive or an endless tree can neither stall nor crash the service, and
// killing the child cancels.
//
//   service --fork--> job --fork--> unpacker (ImportTar only)
//                      |               parses the archive; Landlock: writes beneath
//                      staging/<name>/root only; |               memory, CPU time, file length
//                      limited; tells the job by messages
//                      +-> computes the manifest, publishes, answers on the connection itself
//
// Owner: the child. Errors become the reply Failed. Threads: single-threaded. What never happens: a
// staging folder is left by a job that ends by itself (the service sweeps those of jobs that were
// killed).
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "snapshot/import_budget.h"
#include "snapshot/layer_store.h"
#include "snapshot/protocol.h"
#include "sys/fd.h"

namespace tare::snapshot {

struct JobContext {
  const LayerStore& store;
  const Clock& clock;
  std::string name;     // of its staging folder: random, unique
  int connection = -1;  // non-blocking
  ImportBudget* budget = nullptr;
  std::size_t slot = 0;  // of the budget, when it unpacks an archive
};

// The closing reply. Progress goes out meanwhile, dropped when the client does not keep up.
struct JobReply {
  Reply reply;
  sys::UniqueFd beside = {};  // of Opened
};
JobReply run_job(const Request& request, std::vector<sys::UniqueFd> fds, const JobContext& context);

// Sends a closing reply, waiting for a slow client within reason. `beside`: -1 for none.
Result<> send_reply(int connection, const Reply& reply, int beside = -1);

}  // namespace tare::snapshot

#include "host/flattener.h"

#include "base/limits.h"
#include "snapshot/client.h"

namespace tare::host {

namespace {

using model::Environment;
using model::FlatLayers;

constexpr std::uint64_t kFlattenTimeoutMs = 60 * 60 * 1000;
constexpr snapshot::TreeLimits kFlattenLimits = {.max_entries = 10'000'000,
                                                 .max_bytes = std::uint64_t{1} << 40,
                                                 .max_file_bytes = std::uint64_t{1} << 40};

Result<std::vector<Environment>> deep_ones(const RunDeps& deps) {
  auto all = TRY(
      deps.records.run([](runs::Store& store) { return store.list_environments(kTenant); }));
  std::erase_if(all, [](const Environment& one) {
    return one.state != model::EnvironmentState::ready ||
           mounted_layers(one).size() <= kMaxMountedLayers;
  });
  return all;
}

// What it had before may be mounted still.
Result<FlatLayers> record(const RunDeps& deps, const std::string& digest, FlatLayers made) {
  return deps.records.run([&](runs::Store& store) -> Result<FlatLayers> {
    const auto all = TRY(store.flat_layers(kTenant));
    if (const auto before = all.find(digest); before != all.end()) {
      made.older = before->second.older;
      if (!before->second.flat.empty()) made.older.push_back(before->second.flat.back());
    }
    TRY(store.put_flat_layers(kTenant, digest, made));
    return made;
  });
}

Result<> flatten(const RunDeps& deps, const Environment& one, const fiber::Context& ctx) {
  const auto publishing = TRY(deps.layers.publish(ctx));
  std::vector<std::string> sources = mounted_layers(one);
  std::size_t left = 0;  // above what one request can take
  if (sources.size() > snapshot::kMaxFrozenLayers) {
    left = sources.size() - snapshot::kMaxFrozenLayers;
    sources.resize(snapshot::kMaxFrozenLayers);
  }
  const auto flat = TRY(snapshot::expect<snapshot::Imported>(
      deps.store.call(snapshot::Flatten{sources, 1, kFlattenLimits, kFlattenTimeoutMs}, {}, ctx)));
  FlatLayers made;
  made.of.assign(one.layers.begin(), one.layers.end() - static_cast<std::ptrdiff_t>(left));
  made.flat = {sources.front(), flat.layer.digest};
  deps.flat.learn(one.digest, TRY(record(deps, one.digest, made)));
  deps.log.info(
      "layers made flat",
      {{"environment", one.digest}, {"layers", made.of.size()}, {"flat", flat.layer.digest}});
  return ok();
}

// Was something made flat?
Result<bool> turn(const RunDeps& deps, const fiber::Context& ctx) {
  std::string last;
  bool any = false;
  for (const Environment& one : TRY(deep_ones(deps))) {
    if (one.digest == last) continue;  // another name of it
    last = one.digest;
    if (auto done = flatten(deps, one, ctx); !done) {
      if (!ctx.check()) return done.error();
      deps.log.error("layers cannot be made flat", done.error(), {{"environment", one.digest}});
    } else {
      any = true;
    }
  }
  return any;
}

}  // namespace

Result<> learn_flat_layers(const RunDeps& deps) {
  const auto all = TRY(
      deps.records.run([](runs::Store& store) { return store.flat_layers(kTenant); }));
  for (const auto& [digest, flat] : all) deps.flat.learn(digest, flat);
  return ok();
}

void keep_flat(const RunDeps& deps, const fiber::Context& ctx) {
  while (ctx.check()) {
    const auto any = turn(deps, ctx);
    if (any && *any) continue;  // what was too long for one turn, or has grown meanwhile
    if (!any && ctx.check()) deps.log.error("layers cannot be made flat", any.error());
    (void)deps.flat.grown().wait(ctx.with_timeout(kFlattenInterval));
  }
}

}  // namespace tare::host

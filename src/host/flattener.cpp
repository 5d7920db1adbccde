#include "host/flattener.h"

#include "base/limits.h"
#include "snapshot/client.h"

namespace tare::host {

namespace {

using model::Environment;

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

// In the records of all names that it has; what they had before may be mounted still.
Result<> record(const RunDeps& deps, const Environment& made) {
  return deps.records.run([&made](runs::Store& store) -> Result<> {
    for (Environment one : TRY(store.list_environments(kTenant))) {
      if (one.digest != made.digest || one.layers != made.layers) continue;
      if (!one.flat.empty()) one.flat_older.push_back(one.flat.back());
      one.flat = made.flat;
      one.flat_depth = made.flat_depth;
      TRY(store.put_environment(one));
    }
    return ok();
  });
}

Result<> flatten(const RunDeps& deps, Environment one, const fiber::Context& ctx) {
  const auto publishing = TRY(deps.layers.publish(ctx));
  std::vector<std::string> sources = mounted_layers(one);
  std::size_t left = 0;  // above what one request can take
  if (sources.size() > snapshot::kMaxFrozenLayers) {
    left = sources.size() - snapshot::kMaxFrozenLayers;
    sources.resize(snapshot::kMaxFrozenLayers);
  }
  const auto flat = TRY(snapshot::expect<snapshot::Imported>(
      deps.store.call(snapshot::Flatten{sources, 1, kFlattenLimits, kFlattenTimeoutMs}, {}, ctx)));
  one.flat = {sources.front(), flat.layer.digest};
  one.flat_depth = static_cast<std::uint32_t>(one.layers.size() - left);
  TRY(record(deps, one));
  deps.flat.learn(one);
  deps.log.info(
      "layers made flat",
      {{"environment", one.digest}, {"layers", one.flat_depth}, {"flat", flat.layer.digest}});
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
  for (const Environment& one :
       TRY(deps.records.run([](runs::Store& store) { return store.list_environments(kTenant); }))) {
    deps.flat.learn(one);
  }
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

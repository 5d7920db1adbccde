#include "host/store_verify.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "host/layer_sweep.h"

namespace tare::host {

namespace {

constexpr std::size_t kPrefixBytes = std::string_view("sha256:").size();
constexpr std::string_view kStrayFix =
    "no name that Tare makes, so Tare does not remove it: see "
    "what it is, and remove it by hand";
constexpr std::string_view kFlatFix =
    "put state/tare.db back from a backup; without one: `tare env export` it, take its names away "
    "(`tare env rm`), `tare env gc`, and `tare env import` it";
constexpr std::string_view kUnusedFix = "nothing names it: `tare env gc` removes it";

std::string path_of_layer(const std::string& digest) {
  return "store/layers/" + digest.substr(kPrefixBytes);
}
std::string path_of_upload(const std::string& digest) {
  return fmt::format("blobs/{}/{}", digest.substr(kPrefixBytes, 2), digest.substr(kPrefixBytes));
}

// The store exchanges a damaged one for the same that is made again.
std::string fix_of_layer(const std::string& path, const std::set<Owner>& owners) {
  if (owners.empty()) return std::string(kUnusedFix);
  return fmt::format("put {} back from a backup; without one: {}", path,
                     how_to_make_again(*owners.begin()));
}

void tell_owners(Verdict& verdict, const std::set<Owner>& owners) {
  verdict.needers = owners.size();
  for (const Owner& owner : owners) {
    if (verdict.needed_by.size() == kMaxOwnersTold) break;
    verdict.needed_by.push_back(owner.text());
  }
}

class StoreVerification {
 public:
  StoreVerification(const StoreAudit& audit, const AuditWatcher& watcher, const fiber::Context& ctx)
      : audit_(audit), watcher_(watcher), ctx_(ctx) {}

  Result<Soundness> run() {
    TRY(environments());
    TRY(layers());
    TRY(uploads());
    TRY(strays());
    return found_;
  }

 private:
  Result<> environments();
  Result<> layers();
  Result<> layer(const std::string& digest, const snapshot::LayerInfo* listed);
  Result<> unused();
  Result<> uploads();
  Result<> upload(const std::string& digest, const NamedLayers& needed, bool there);
  Result<> strays();
  Result<> stray(std::string path) {
    found_.intact = false;
    return watcher_.on_extra(
        Extra{.stray = true, .path = std::move(path), .fix = std::string(kStrayFix)});
  }
  Result<> tell(const Verdict& verdict) {
    found_.intact = found_.intact && verdict.intact;
    found_.clean = found_.clean && verdict.secret.empty();
    return watcher_.on_verdict(verdict);
  }

  const StoreAudit& audit_;
  const AuditWatcher& watcher_;
  const fiber::Context& ctx_;
  NamedLayers named_;
  std::vector<snapshot::LayerInfo> unnamed_;  // whole, and nobody's when their turn came
  Soundness found_;
};

// Only those that are not as their digest says: their layers have verdicts of their own.
Result<> StoreVerification::environments() {
  for (const model::Environment& one : TRY(audit_.environments())) {
    if (one.state != model::EnvironmentState::ready || one.layers.empty()) continue;
    Verdict verdict{.kind = Audited::environment, .digest = one.digest};
    verdict.intact = model::digest_of_environment(one.layers, one.config) == one.digest;
    if (audit_.find_secret) verdict.secret = TRY(audit_.find_secret("", one.config, ctx_));
    std::string flat;
    if (verdict.intact && audit_.fault_of_flat) flat = TRY(audit_.fault_of_flat(one, ctx_));
    if (verdict.intact && verdict.secret.empty() && flat.empty()) continue;
    tell_owners(verdict, {Owner{Owner::Kind::environment, one.name}});
    if (!verdict.intact) {
      verdict.difference = "its layers are not those that the environment's digest names";
      verdict.fix = "put state/tare.db back from a backup; without one: " +
                    how_to_make_again({Owner::Kind::environment, one.name});
    }
    if (!flat.empty()) {
      verdict.intact = false;
      verdict.difference = flat;
      verdict.fix = std::string(kFlatFix);
    }
    TRY(tell(verdict));
  }
  return ok();
}

Result<> StoreVerification::layers() {
  std::map<std::string, const snapshot::LayerInfo*> all;
  const auto listed = TRY(audit_.layers(ctx_));
  named_ = TRY(audit_.named());
  for (const auto& [digest, owners] : named_) all.emplace(digest, nullptr);
  for (const snapshot::LayerInfo& one : listed) all[one.digest] = &one;
  for (const auto& [digest, info] : all) TRY(layer(digest, info));
  return unused();
}

Result<> StoreVerification::layer(const std::string& digest, const snapshot::LayerInfo* listed) {
  TRY(watcher_.on_begin(listed != nullptr ? *listed : snapshot::LayerInfo{digest, 0, 0}));
  auto verified = audit_.verify(digest, ctx_);
  // Read again: it could have been on its way out just then.
  if (verified && !verified->intact) verified = audit_.verify(digest, ctx_);
  const bool missing = !verified && verified.error().code == Errc::not_found;
  if (!verified && !missing) return std::move(verified).error();
  if (missing) {
    named_ = TRY(audit_.named());  // is it still wanted?
    if (!named_.contains(digest)) return ok();
  }
  Verdict verdict{.digest = digest, .path = path_of_layer(digest)};
  if (listed != nullptr) {
    verdict.entries = listed->entries;
    verdict.bytes = listed->bytes;
  }
  const auto found = named_.find(digest);
  const std::set<Owner> owners = found == named_.end() ? std::set<Owner>() : found->second;
  tell_owners(verdict, owners);
  verdict.intact = !missing && verified->intact;
  if (verdict.intact && owners.empty()) {
    if (listed != nullptr) unnamed_.push_back(*listed);
    return ok();
  }
  if (!verdict.intact) {
    verdict.difference = missing ? verified.error().message : verified->difference;
    verdict.fix = fix_of_layer(verdict.path, owners);
  } else if (audit_.find_secret) {
    verdict.secret = TRY(audit_.find_secret(digest, {}, ctx_));
  }
  return tell(verdict);
}

// Somebody may have got them on record by now, or a sweep may have removed them.
Result<> StoreVerification::unused() {
  if (unnamed_.empty()) return ok();
  named_ = TRY(audit_.named());
  const auto there = TRY(audit_.layers(ctx_));
  for (const snapshot::LayerInfo& one : unnamed_) {
    const bool gone = std::ranges::find(there, one.digest, &snapshot::LayerInfo::digest) ==
                      there.end();
    if (gone || named_.contains(one.digest)) continue;
    TRY(watcher_.on_extra(Extra{.stray = false,
                                .path = path_of_layer(one.digest),
                                .entries = one.entries,
                                .bytes = one.bytes,
                                .fix = std::string(kUnusedFix)}));
  }
  return ok();
}

Result<> StoreVerification::uploads() {
  const auto names = TRY(audit_.uploads(ctx_));
  const NamedLayers needed = audit_.needed_uploads();
  for (const std::string& digest : names.digests) TRY(upload(digest, needed, true));
  for (const auto& [digest, owners] : needed) {
    if (!std::ranges::binary_search(names.digests, digest)) TRY(upload(digest, needed, false));
  }
  for (const std::string& path : names.strays) TRY(stray("blobs/" + path));
  return ok();
}

Result<> StoreVerification::upload(const std::string& digest, const NamedLayers& needed,
                                   bool there) {
  const auto verified = audit_.verify_upload(digest, ctx_);
  const bool missing = !verified && verified.error().code == Errc::not_found;
  if (!verified && !missing && verified.error().code != Errc::internal) return verified;
  if (missing && !audit_.needed_uploads().contains(digest)) return ok();  // its time was over
  Verdict verdict{.kind = Audited::upload, .digest = digest, .path = path_of_upload(digest)};
  if (const auto found = needed.find(digest); found != needed.end())
    tell_owners(verdict, found->second);
  verdict.intact = verified.ok();
  if (!verified) {
    verdict.difference = missing ? "it is not there" : verified.error().message;
    verdict.fix = fmt::format("{}send it again", there ? "remove " + verdict.path + " and " : "");
  }
  return tell(verdict);
}

// What has lost its form and is named was told as a layer.
Result<> StoreVerification::strays() {
  constexpr std::string_view kLayers = "layers/";
  const auto found = TRY(audit_.strays(ctx_));
  for (const std::string& path : found.paths) {
    const bool in_layers = path.starts_with(kLayers);
    if (in_layers && named_.contains("sha256:" + path.substr(kLayers.size()))) continue;
    TRY(stray("store/" + path));
  }
  if (found.total > found.paths.size())
    TRY(stray(fmt::format("store/: {} more", found.total - found.paths.size())));
  return ok();
}

NamedLayers needed_uploads(const RunService& runs) {
  NamedLayers needed;
  for (const auto& live : runs.unended()) {
    const auto kind = live->run.request.session ? Owner::Kind::session : Owner::Kind::run;
    for (const model::InputFile& input : live->run.request.inputs)
      needed[input.digest].insert(Owner{kind, live->run.id});
  }
  return needed;
}

}  // namespace

std::string_view to_string(Audited kind) {
  switch (kind) {
    case Audited::environment: return "environment";
    case Audited::layer: return "layer";
    case Audited::upload: return "upload";
  }
  return "";
}

StoreAudit store_audit(const RunDeps& deps, const RunService& runs, bool secrets,
                       const OnVerifyProgress& on_progress) {
  StoreAudit audit{
      .environments =
          [&deps] {
            return deps.records.run(
                [](runs::Store& store) { return store.list_environments(kTenant); });
          },
      .named = [&deps, &runs] { return named_layers(deps, runs); },
      .layers = [&deps](const fiber::Context& ctx) { return list_layers(deps.store, ctx); },
      .verify =
          [&deps, progress = on_progress](const std::string& digest, const fiber::Context& ctx) {
            return snapshot::expect<snapshot::Verified>(
                deps.store.call(snapshot::VerifyLayer{digest}, {}, ctx, progress));
          },
      .strays =
          [&deps](const fiber::Context& ctx) {
            return snapshot::expect<snapshot::Strays>(
                deps.store.call(snapshot::ListStrays{}, {}, ctx));
          },
      .fault_of_flat =
          [&deps](const model::Environment& environment, const fiber::Context& ctx) {
            return fault_of_flat(environment, deps.store, ctx);
          },
      .uploads =
          [&deps](const fiber::Context& ctx) {
            return deps.offload.run([&] { return deps.blobs.list(); }, ctx);
          },
      .needed_uploads = [&runs] { return needed_uploads(runs); },
      .verify_upload =
          [&deps](const std::string& digest, const fiber::Context& ctx) {
            return deps.offload.run([&] { return deps.blobs.verify(digest); }, ctx);
          }};
  if (secrets) {
    audit.find_secret = [&deps, progress = on_progress](const std::string& digest,
                                                        const model::ImageConfig& config,
                                                        const fiber::Context& ctx) {
      return find_secret(deps.secrets, deps.store, digest, config, ctx, progress);
    };
  }
  return audit;
}

Result<Soundness> verify_store(const StoreAudit& audit, const AuditWatcher& watcher,
                               const fiber::Context& ctx) {
  return StoreVerification(audit, watcher, ctx).run();
}

}  // namespace tare::host

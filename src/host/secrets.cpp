#include "host/secrets.h"

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "host/run_deps.h"

namespace tare::host {

static_assert(vault::kMaxSealedBytes <= model::kMaxSealedBytes);

namespace {

Error no_secret(std::string_view name) {
  return Error{Errc::not_found,
               fmt::format("there is no secret {}; `tare secret set` makes one", quote(name))};
}

}  // namespace

// One change at a time: a version follows from the one before.
class Secrets::Turn {
 public:
  static Result<Turn> take(Secrets& secrets) {
    TRY(secrets.changed_.wait_until([&] { return !secrets.changing_; },
                                    fiber::Context::background()));
    secrets.changing_ = true;
    return Turn(secrets);
  }
  Turn(Turn&& other) noexcept : secrets_(std::exchange(other.secrets_, nullptr)) {}
  Turn& operator=(Turn&&) = delete;
  ~Turn() {
    if (secrets_ == nullptr) return;
    secrets_->changing_ = false;
    secrets_->changed_.notify_one();
  }

 private:
  explicit Turn(Secrets& secrets) : secrets_(&secrets) {}
  Secrets* secrets_;
};

std::optional<std::string> searched_part(const Secret& value) {
  snapshot::Needle needle{"x", std::string(value.reveal().substr(0, snapshot::kMaxNeedleBytes))};
  if (snapshot::check_needle(needle)) return std::move(needle.value);
  wipe(needle.value);
  return std::nullopt;
}

Secrets::Secrets(Deps deps, runs::SecretRows rows) : deps_(deps) {
  for (model::SealedSecret& row : rows.secrets) {
    const std::string name = row.name;
    held_[name] = {std::move(row), std::nullopt};
  }
  for (runs::DamagedSecret& damaged : rows.damaged) {
    deps_.log.error("a secret cannot be read", damaged.error);
    Held& held = held_[damaged.name];
    held.row.name = damaged.name;
    held.damage = std::move(damaged.error);
  }
  // So that a key that is not there is known before somebody needs it.
  if (held_.empty()) return;
  if (const auto key = key_to_open(); !key) deps_.log.error("the vault is closed", key.error());
}

SecretInfo Secrets::info_of(const Held& held) {
  return {held.row.name, held.row.version, held.row.created_ms, held.row.rotated_ms,
          held.damage.has_value()};
}

Error Secrets::damage_of(const Held& held) {
  return Error(*held.damage)
      .context(fmt::format("secret {} (`tare secret rm` removes it)", quote(held.row.name)));
}

// Damaged rows say nothing of a key: they do not keep the others from being used.
Result<> Secrets::check_rows(const vault::Key& key) const {
  for (const auto& [name, held] : held_) {
    if (held.damage) continue;
    const auto sealed = vault::parse_sealed(held.row.sealed);
    if (!sealed || sealed->key == key.id()) continue;
    return Error{
        Errc::denied,
        fmt::format(
            "the secret {} was sealed with another key ({}) than the one there is ({}): "
            "put {} back from a backup, or `tare secret rm` what it had sealed",
            quote(name), vault::to_text(sealed->key), vault::to_text(key.id()),
            deps_.credential != nullptr ? "the credential tare-vault-key" : "state/vault.key")};
  }
  return ok();
}

Result<> Secrets::load_key() {
  if (key_) return ok();
  std::optional<vault::Key> found;
  if (deps_.credential != nullptr) {
    found = TRY(vault::Key::of(TRY(Secret::copy_of(deps_.credential->bytes().reveal()))));
  } else {
    found = TRY(vault::read_key_file(deps_.state));
  }
  if (!found) return ok();
  TRY(check_rows(*found));
  key_ = std::move(found);
  return ok();
}

Result<const vault::Key*> Secrets::key_to_open() {
  TRY(load_key());
  if (key_) return &*key_;
  return Error{
      Errc::denied,
      fmt::format("state/vault.key is not there, but {} sealed with it: put it back from a "
                  "backup, or `tare secret rm` them all; the next `tare secret set` makes "
                  "a new key then",
                  held_.size() == 1 ? std::string("1 secret was")
                                    : fmt::format("{} secrets were", held_.size()))};
}

// What is sealed with a key that is in memory alone is lost at the next start.
Result<> Secrets::check_key_is_there() {
  if (!key_ || deps_.credential != nullptr) return ok();
  const auto there = TRY(vault::read_key_file(deps_.state));
  if (there && there->id() == key_->id()) return ok();
  if (!there && held_.empty()) {
    key_.reset();
    return ok();
  }
  return Error{
      Errc::denied,
      fmt::format("state/vault.key {} since tared has read it ({}): put that one back from "
                  "a backup, or what is set now cannot be opened after a restart",
                  there ? "is another one" : "has gone", vault::to_text(key_->id()))};
}

Result<const vault::Key*> Secrets::key_to_seal() {
  TRY(check_key_is_there());
  TRY(load_key());
  if (!key_ && held_.empty()) {
    key_ = TRY(vault::make_key_file(deps_.state, deps_.random));
    deps_.log.info("made the vault's key", {{"id", vault::to_text(key_->id())}});
  }
  return key_to_open();
}

Result<> Secrets::seal_into(model::SealedSecret& row, const Secret& value) {
  const vault::Key* key = TRY(key_to_seal());
  row.sealed = TRY(vault::seal(*key, {row.tenant, row.name, row.version}, value, deps_.random));
  return ok();
}

Result<SecretInfo> Secrets::set(const std::string& name, const Secret& value) {
  TRY(check_name("name", name));
  TRY(vault::check_value(value));
  tell_if_unlocked();
  const Turn turn = TRY(Turn::take(*this));
  model::SealedSecret row{std::string(kTenant), name, 1, deps_.clock.wall_ms(), 0, {}};
  row.rotated_ms = row.created_ms;
  TRY(seal_into(row, value));
  TRY(deps_.records.run([&](runs::Store& store) { return store.add_secret(row); }));
  Held& held = held_[name] = {std::move(row), std::nullopt};
  deps_.log.info("secret set", {{"name", name}});
  return info_of(held);
}

Result<SecretInfo> Secrets::rotate(const std::string& name, const Secret& value) {
  TRY(vault::check_value(value));
  tell_if_unlocked();
  const Turn turn = TRY(Turn::take(*this));
  const auto found = held_.find(name);
  if (found == held_.end()) return no_secret(name);
  if (found->second.damage) return damage_of(found->second);
  model::SealedSecret row = found->second.row;
  ++row.version;
  row.rotated_ms = std::max(deps_.clock.wall_ms(), row.created_ms);  // a clock may be set back
  TRY(seal_into(row, value));
  TRY(deps_.records.run([&](runs::Store& store) { return store.rotate_secret(row); }));
  found->second.row = std::move(row);
  deps_.log.info("secret rotated", {{"name", name}, {"version", found->second.row.version}});
  return info_of(found->second);
}

Result<> Secrets::remove(const std::string& name) {
  const Turn turn = TRY(Turn::take(*this));
  const auto found = held_.find(name);
  if (found == held_.end()) return no_secret(name);
  TRY(deps_.records.run([&](runs::Store& store) { return store.delete_secret(kTenant, name); }));
  held_.erase(found);
  deps_.log.info("secret removed", {{"name", name}});
  return ok();
}

std::vector<SecretInfo> Secrets::list() const {
  std::vector<SecretInfo> all;
  for (const auto& [name, held] : held_) all.push_back(info_of(held));
  return all;
}

Result<Secret> Secrets::open(const Held& held) {
  if (held.damage) return damage_of(held);
  const vault::Key* key = TRY(key_to_open());
  auto value = vault::open(*key, {held.row.tenant, held.row.name, held.row.version},
                           held.row.sealed);
  tell_if_unlocked();
  if (value) return value;
  return std::move(value).error().context(
      fmt::format("secret {} (`tare secret rm` removes it)", quote(held.row.name)));
}

Result<Secret> Secrets::use(std::string_view name) {
  const auto found = held_.find(name);
  if (found == held_.end()) return no_secret(name);
  return open(found->second);
}

Result<std::vector<snapshot::Needle>> Secrets::needles() {
  std::vector<snapshot::Needle> all;
  for (const auto& [name, held] : held_) {
    const auto value = open(held);
    if (!value) {
      for (snapshot::Needle& needle : all) wipe(needle.value);
      return Error(value.error()).context("what is frozen must be searched for secrets");
    }
    auto part = searched_part(*value);
    if (part) all.push_back({name, std::move(*part)});
  }
  return all;
}

void Secrets::tell_if_unlocked() const {
  if (!take_unlocked_notice()) return;
  deps_.log.warning(
      "memory for secrets could not be locked: they may be swapped out; raise the limit of locked "
      "memory (RLIMIT_MEMLOCK; LimitMEMLOCK= of a systemd unit)");
}

}  // namespace tare::host

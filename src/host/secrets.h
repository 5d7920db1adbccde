// The vault of tared: secrets by name, sealed in the database (vault/cipher.h), opened for the
// moment in which one is used. Sealed rows are held in memory too, so that using one waits for no
// disk, and the next use after a rotation has the new value.
//
// Owner: main. Loop thread only; changes wait for the disk, one at a time, and are durable when
// they return. Errors: Errc::conflict, not_found, invalid, exhausted; denied when the key is
// missing, wrong or unsafe, with the fix. What never happens: a value in a log, a message or an
// answer; a key is made while there are secrets that were sealed with another one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "fiber/event.h"
#include "host/records.h"
#include "snapshot/needles.h"
#include "vault/cipher.h"
#include "vault/key.h"

namespace tare::host {

struct SecretInfo {
  std::string name;
  std::uint64_t version = 0;  // 0 when damaged
  std::uint64_t created_ms = 0, rotated_ms = 0;
  bool damaged = false;  // its row cannot be read: it can only be removed
};

// Its beginning is what is looked for in environments; nullopt: too short or too plain for that.
std::optional<std::string> searched_part(const Secret& value);

class Secrets {
 public:
  struct Deps {
    Records& records;
    const Clock& clock;
    Random& random;
    const Logger& log;
    int state;                     // $TARE_HOME/state
    const vault::Key* credential;  // nullptr: the key is in state/vault.key
  };
  // `rows`: all there are (Store::list_secrets).
  Secrets(Deps deps, runs::SecretRows rows);

  Result<SecretInfo> set(const std::string& name, const Secret& value);
  Result<SecretInfo> rotate(const std::string& name, const Secret& value);
  Result<> remove(const std::string& name);
  std::vector<SecretInfo> list() const;  // by name

  // The value, as it is now.
  Result<Secret> use(std::string_view name);
  // What an environment must not have. Errors: that of one that cannot be opened; nothing may be
  // frozen then, as nobody can tell what is in it.
  Result<std::vector<snapshot::Needle>> needles();

 private:
  struct Held {
    model::SealedSecret row;  // only the name when damaged
    std::optional<Error> damage;
  };
  class Turn;

  static SecretInfo info_of(const Held& held);
  static Error damage_of(const Held& held);
  Result<> load_key();
  Result<> check_rows(const vault::Key& key) const;
  Result<const vault::Key*> key_to_open();
  Result<> check_key_is_there();
  Result<const vault::Key*> key_to_seal();
  Result<Secret> open(const Held& held);
  Result<> seal_into(model::SealedSecret& row, const Secret& value);
  void tell_if_unlocked() const;

  Deps deps_;
  std::map<std::string, Held, std::less<>> held_;
  std::optional<vault::Key> key_;  // that all rows were sealed with
  bool changing_ = false;
  fiber::Event changed_;
};

}  // namespace tare::host

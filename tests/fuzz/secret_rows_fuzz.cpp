// Rows of the vault with hostile bytes in them: what parses has the parts it was made of, what
// opens was sealed by us, and a row that reads can be stored again. The first byte says how the
// rest is used: as the sealed bytes, as an edit of a good value, or as the text of the column.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/random.h"
#include "runs/rows.h"
#include "sql/database.h"
#include "vault/cipher.h"

using namespace tare;

namespace {

constexpr vault::Place kPlace{"default", "api", 1};

class FakeRow final : public sql::Row {
 public:
  explicit FakeRow(std::string_view sealed) : sealed_(sealed) {}
  bool is_null(int) const override { return false; }
  Result<std::int64_t> integer(int) const override { return std::int64_t{1}; }
  Result<std::string_view> text(int column) const override {
    if (column == 5) return sealed_;
    return column == 0 ? kPlace.tenant : kPlace.name;
  }

 private:
  std::string_view sealed_;
};

// The same in every run.
struct Good {
  SeededRandom random{1};
  vault::Key key = vault::Key::make(random).value();
  std::string sealed = vault::seal(key, kPlace, Secret::copy_of("a value").value(), random).value();
};

void check_sealed(const Good& good, std::string_view bytes) {
  if (const auto parts = vault::parse_sealed(bytes)) {
    std::string again(1, static_cast<char>(vault::kFormat));
    again.append(reinterpret_cast<const char*>(parts->key.data()), parts->key.size());
    again.append(parts->nonce).append(parts->ciphertext).append(parts->tag);
    CHECK(again == bytes);
    CHECK(parts->nonce.size() == vault::kNonceBytes && parts->tag.size() == vault::kTagBytes);
  }
  const auto value = vault::open(good.key, kPlace, bytes);
  CHECK(value.ok() == (bytes == good.sealed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Good good;
  if (size < 1) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 0) {
    check_sealed(good, rest);
  } else if (data[0] % 3 == 1) {
    std::string edited = good.sealed;
    for (std::size_t i = 0; i < rest.size(); ++i)
      edited[i % edited.size()] = static_cast<char>(edited[i % edited.size()] ^ rest[i]);
    check_sealed(good, edited);
  } else if (const auto row = runs::read_secret_row(FakeRow(rest))) {
    CHECK(runs::to_stored(*row).value() == rest);
    check_sealed(good, row->sealed);
  }
  return 0;
}

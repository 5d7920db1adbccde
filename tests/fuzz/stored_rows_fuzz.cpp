// Rows of the store with hostile values in their JSON columns: an error or a value, and a value can
// be stored again. The first byte chooses the kind of row, the rest is the JSON.
#include <cstddef>
#include <cstdint>
#include <string>

#include "runs/rows.h"
#include "sql/database.h"

using namespace tare;

namespace {

// One row whose texts and numbers are given.
class FakeRow final : public sql::Row {
 public:
  FakeRow(std::string_view json, int json_column) : json_(json), json_column_(json_column) {}
  bool is_null(int) const override { return false; }
  Result<std::int64_t> integer(int) const override { return std::int64_t{1}; }
  Result<std::string_view> text(int column) const override {
    if (column == json_column_) return json_;
    constexpr std::string_view kTexts[] = {"default", "a", "", "running"};
    return column < 4 ? kTexts[column] : std::string_view("{}");
  }

 private:
  std::string_view json_;
  int json_column_;
};

template <class T>
void store_again(const Result<T>& value) {
  if (!value) return;
  const auto text = runs::to_stored(*value);
  CHECK(text.ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view json(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: static_cast<void>(runs::read_run_row(FakeRow(json, 8))); break;
    case 1: store_again(runs::read_event_row(FakeRow(json, 2))); break;
    case 2: store_again(runs::read_agent_row(FakeRow(json, 3))); break;
    default: store_again(runs::read_environment_row(FakeRow(json, 2))); break;
  }
  const std::string line = runs::one_line(json);
  CHECK(line.size() <= json.size());
  return 0;
}

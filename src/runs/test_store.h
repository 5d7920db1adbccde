// The suite that every Store has to pass: the tests are in store_conformance*_test.cpp, and a
// backend joins with
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, ::testing::Values(StoreBackend{"sqlite",
//   make_sqlite}));
// For tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "runs/store.h"
#include "runs/test_runs.h"

namespace tare::runs {

// An empty store and whatever it lives in.
class TestStore {
 public:
  virtual ~TestStore() = default;
  virtual Store& store() = 0;
  // The program ends and starts again.
  virtual void reopen() = 0;
  // Changes a row behind the store's back.
  virtual void damage(std::string_view statement) = 0;
};

struct StoreBackend {
  std::string name;
  std::function<std::unique_ptr<TestStore>()> make;
};
inline void PrintTo(const StoreBackend& backend, std::ostream* out) { *out << backend.name; }

class StoreConformance : public ::testing::TestWithParam<StoreBackend> {
 protected:
  Store& store() { return backend_->store(); }
  model::Run create(const model::Run& run) {
    auto created = store().create_run(run, "");
    EXPECT_TRUE(created.ok()) << created.error().message;
    return created ? created->run : model::Run{};
  }
  model::Run append(const model::Run& run, const model::RunEvent& event) {
    auto appended = store().append_event(run.tenant, run.id, event);
    EXPECT_TRUE(appended.ok()) << appended.error().message;
    return appended ? appended->run : model::Run{};
  }
  // Created, launched, started and ended.
  model::Run finished(model::Run run, int exit_code = 0) {
    create(run);
    append(run, an_event(model::RunEventType::launching));
    append(run, an_event(model::RunEventType::started));
    return append(run, an_end(exit_code));
  }
  std::unique_ptr<TestStore> backend_ = GetParam().make();
};

}  // namespace tare::runs

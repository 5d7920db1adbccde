#include "host/store_verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "fiber/loop.h"

namespace tare::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');
const std::string kC = "sha256:" + std::string(64, 'c');
const Owner kRunner{Owner::Kind::runner, "hello@1.0"};
const Owner kSession{Owner::Kind::session, "run_1"};

// A store as plain sets: what is said of what is in them is what is tested here.
class StoreVerifyTest : public testing::Test {
 protected:
  Result<snapshot::Verified> verify(const std::string& digest) {
    if (before_verify_) before_verify_(digest);
    if (!stored_.contains(digest)) return Error{Errc::not_found, "layer is not in the store"};
    const bool bad = damaged_.contains(digest);
    return snapshot::Verified{!bad, bad ? "it differs" : ""};
  }
  Result<> verify_upload(const std::string& digest) {
    if (std::ranges::find(uploads_.digests, digest) == uploads_.digests.end())
      return Error{Errc::not_found, "content is not there"};
    if (damaged_.contains(digest)) return Error{Errc::internal, "content is damaged"};
    return ok();
  }
  StoreAudit audit() {
    using fiber::Context;
    return {.environments = [this]() -> Result<std::vector<model::Environment>> {
              return environments_;
            },
            .named = [this]() -> Result<NamedLayers> { return named_; },
            .layers = [this](const Context&) -> Result<std::vector<snapshot::LayerInfo>> {
              std::vector<snapshot::LayerInfo> all;
              for (const std::string& digest : stored_) all.push_back({digest, 1, 10});
              return all;
            },
            .verify = [this](const std::string& digest, const Context&) { return verify(digest); },
            .strays = [this](const Context&) -> Result<snapshot::Strays> { return strays_; },
            .uploads = [this](const Context&) -> Result<runs::BlobNames> { return uploads_; },
            .needed_uploads = [this] { return needed_uploads_; },
            .verify_upload = [this](const std::string& digest,
                                    const Context&) { return verify_upload(digest); }};
  }
  bool run() {
    verdicts_.clear();
    extras_.clear();
    bool intact = false;
    const AuditWatcher watcher{.on_begin = [](const snapshot::LayerInfo&) { return ok(); },
                               .on_verdict =
                                   [&](const Verdict& one) {
                                     verdicts_.push_back(one);
                                     return ok();
                                   },
                               .on_extra =
                                   [&](const Extra& one) {
                                     extras_.push_back(one);
                                     return ok();
                                   }};
    auto ended = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
      intact = TRY(verify_store(audit(), watcher, ctx)).intact;
      return ok();
    });
    EXPECT_TRUE(ended.ok());
    return intact;
  }
  std::vector<Verdict> faults() const {
    std::vector<Verdict> found;
    for (const Verdict& one : verdicts_) {
      if (!one.intact) found.push_back(one);
    }
    return found;
  }

  std::set<std::string> stored_, damaged_;
  NamedLayers named_, needed_uploads_;
  std::vector<model::Environment> environments_;
  snapshot::Strays strays_;
  runs::BlobNames uploads_;
  std::function<void(const std::string&)> before_verify_;
  std::vector<Verdict> verdicts_;
  std::vector<Extra> extras_;
};

TEST_F(StoreVerifyTest, what_is_named_and_whole_is_intact) {
  stored_ = {kA, kB};
  named_ = {{kA, {kRunner}}, {kB, {kSession}}};
  EXPECT_TRUE(run());
  ASSERT_EQ(verdicts_.size(), 2U);
  EXPECT_THAT(verdicts_[0].needed_by, ElementsAre("runner hello@1.0"));
  EXPECT_EQ(verdicts_[0].bytes, 10U);
  EXPECT_THAT(verdicts_[0].fix, IsEmpty());
  EXPECT_THAT(extras_, IsEmpty());
}

TEST_F(StoreVerifyTest, what_is_damaged_or_missing_is_told_with_all_that_need_it_and_a_fix) {
  stored_ = damaged_ = {kA};
  named_ = {{kA, {kRunner, kSession}}, {kB, {kSession}}};
  EXPECT_FALSE(run());
  ASSERT_EQ(faults().size(), 2U);
  const Verdict damaged = faults()[0], missing = faults()[1];
  EXPECT_THAT(damaged.needed_by, ElementsAre("runner hello@1.0", "session run_1"));
  EXPECT_EQ(damaged.difference, "it differs");
  EXPECT_THAT(damaged.fix, HasSubstr("without one: `tare runner add`"))
      << "what can be made again comes first";
  EXPECT_EQ(missing.path, "store/layers/" + std::string(64, 'b'));
  EXPECT_THAT(missing.difference, HasSubstr("not in the store"));
  EXPECT_THAT(missing.fix, HasSubstr("`tare session kill run_1`"));
}

TEST_F(StoreVerifyTest, a_whole_layer_that_nobody_names_is_no_fault_and_a_damaged_one_is) {
  stored_ = {kA};
  EXPECT_TRUE(run());
  ASSERT_EQ(extras_.size(), 1U);
  EXPECT_FALSE(extras_[0].stray);
  EXPECT_THAT(extras_[0].fix, HasSubstr("`tare env gc`"));
  damaged_ = {kA};
  EXPECT_FALSE(run());
  EXPECT_THAT(faults().at(0).fix, HasSubstr("`tare env gc`"));
  EXPECT_THAT(extras_, IsEmpty());
}

TEST_F(StoreVerifyTest, strays_are_faults_and_what_is_named_by_the_same_name_is_told_once) {
  strays_ = {{"layers/junk", "layers/" + std::string(64, 'a'), "other"}, 5};
  named_ = {{kA, {kRunner}}};
  uploads_.strays = {"zz"};
  EXPECT_FALSE(run());
  std::vector<std::string> paths;
  for (const Extra& one : extras_) paths.push_back((one.stray ? "" : "unused ") + one.path);
  EXPECT_THAT(paths, ElementsAre("blobs/zz", "store/layers/junk", "store/other", "store/: 2 more"));
  EXPECT_EQ(faults().size(), 1U);
}

TEST_F(StoreVerifyTest, what_goes_or_gets_a_name_meanwhile_is_passed_over) {
  stored_ = {kA, kB, kC};
  named_ = {{kA, {kSession}}, {kC, {kRunner}}};
  before_verify_ = [this](const std::string& digest) {
    if (digest == kA) {  // the session ends, a sweep takes its layer; a build gets on record
      stored_.erase(kA);
      named_.erase(kA);
      named_[kB].insert({Owner::Kind::environment, "new"});
    }
    if (digest == kC) stored_.erase(kC);  // and this one is really missing
  };
  EXPECT_FALSE(run());
  ASSERT_EQ(faults().size(), 1U);
  EXPECT_EQ(faults()[0].digest, kC);
  EXPECT_THAT(extras_, IsEmpty());
}

TEST_F(StoreVerifyTest, a_layer_that_a_sweep_removes_while_it_is_read_is_no_damage) {
  stored_ = damaged_ = {kA};
  before_verify_ = [this, reads = 0](const std::string&) mutable {
    if (++reads == 2) stored_.clear();
  };
  EXPECT_TRUE(run());
  EXPECT_THAT(faults(), IsEmpty());
}

TEST_F(StoreVerifyTest, uploads_are_read_too) {
  uploads_.digests = {kA, kB};
  needed_uploads_ = {{kC, {{Owner::Kind::run, "run_2"}}}};
  EXPECT_FALSE(run());
  ASSERT_EQ(faults().size(), 1U);
  EXPECT_EQ(faults()[0].fix, "send it again");
  EXPECT_THAT(faults()[0].needed_by, ElementsAre("run run_2"));
  needed_uploads_.clear();
  EXPECT_TRUE(run());
  damaged_ = {kB};
  EXPECT_FALSE(run());
  EXPECT_THAT(faults().at(0).fix, HasSubstr("remove blobs/bb/"));
}

TEST_F(StoreVerifyTest, an_environment_with_other_layers_than_its_digest_says_is_a_fault) {
  environments_ = {{.name = "py", .digest = model::digest_of_layers({kA, kB}), .layers = {kA, kB}}};
  EXPECT_TRUE(run());
  environments_[0].layers = {kB, kA};
  EXPECT_FALSE(run());
  EXPECT_EQ(faults().at(0).kind, Audited::environment);
  EXPECT_THAT(faults().at(0).needed_by, ElementsAre("environment py"));
}

TEST_F(StoreVerifyTest, an_error_of_the_store_is_not_an_answer) {
  stored_ = {kA};
  auto broken = audit();
  broken.verify = [](const std::string&, const fiber::Context&) -> Result<snapshot::Verified> {
    return Error{Errc::unavailable, "the store is not up"};
  };
  auto ended = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
    const auto quiet = [](const auto&) -> Result<> { return ok(); };
    EXPECT_EQ(verify_store(broken, {quiet, quiet, quiet}, ctx).error().code, Errc::unavailable);
    return ok();
  });
  EXPECT_TRUE(ended.ok());
}

}  // namespace
}  // namespace tare::host

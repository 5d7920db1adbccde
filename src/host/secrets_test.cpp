#include "host/secrets.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "fiber/task_group.h"
#include "host/run_deps.h"
#include "sql/test_folder.h"
#include "sys/files.h"

namespace tare::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kValue = "sk-live-correct-horse", kOther = "sk-live-battery-staple";

class TextSink final : public LogSink {
 public:
  void write(std::string_view line) override { text += line; }
  std::string text;
};

// A state folder with a database; tared starts in it as often as a test likes.
class SecretsTest : public testing::Test {
 protected:
  SecretsTest() : state_(sys::open_at(sys::kCwd, folder_.path(), O_RDONLY | O_DIRECTORY).value()) {}

  // One life of tared, in a fiber.
  void live(const std::function<void(Secrets&)>& body) {
    auto store = runs::SqliteStore::open(folder_.path("tare.db"), {}, 1).value();
    auto rows = store->list_secrets(kTenant).value();
    auto loop = fiber::Loop::create().value();
    Records records(*loop, *store);
    Secrets secrets({records, clock_, random_, log_, state_.get(), credential_}, std::move(rows));
    loop->spawn([&](const fiber::Context& ctx) {
      ctx_ = &ctx;
      body(secrets);
    });
    loop->run();
    EXPECT_THAT(sink_.text, Not(HasSubstr(kValue)));
    EXPECT_THAT(sink_.text, Not(HasSubstr(kOther)));
  }
  void change(std::string_view statement) {
    auto store = runs::SqliteStore::open(folder_.path("tare.db"), {}, 1).value();
    EXPECT_EQ(store->database().execute(statement).value(), 1U) << statement;
  }
  std::string sealed_of(std::string_view name) {
    auto store = runs::SqliteStore::open(folder_.path("tare.db"), {}, 1).value();
    const auto rows = store->list_secrets(kTenant).value();
    for (const auto& secret : rows.secrets)
      if (secret.name == name) return base64_encode(secret.sealed);
    return "";
  }
  static Secret a_secret(std::string_view value = kValue) { return Secret::copy_of(value).value(); }
  static std::string used(Secrets& secrets, std::string_view name) {
    const auto value = secrets.use(name);
    return value ? std::string(value->reveal()) : "refused: " + value.error().message;
  }
  static std::vector<std::string> names(const Secrets& secrets) {
    std::vector<std::string> all;
    for (const auto& one : secrets.list()) all.push_back(one.name);
    return all;
  }
  bool has_key() const { return sys::exists_at(state_.get(), "vault.key"); }
  void move_key(const char* from, const char* to) {
    ASSERT_EQ(::renameat(state_.get(), from, state_.get(), to), 0);
  }

  sql::TestFolder folder_;
  sys::UniqueFd state_;
  ManualClock clock_{1000};
  SystemRandom random_;
  TextSink sink_;
  const Logger log_{sink_, clock_};
  const vault::Key* credential_ = nullptr;
  const fiber::Context* ctx_ = nullptr;
};

TEST_F(SecretsTest, what_was_set_is_used_until_it_is_rotated_or_removed_also_after_a_restart) {
  live([&](Secrets& secrets) {
    EXPECT_FALSE(has_key()) << "made at the first use";
    EXPECT_EQ(secrets.set("api", a_secret())->version, 1U);
    EXPECT_EQ(secrets.set("db", a_secret("x"))->created_ms, 1000U);
    EXPECT_EQ(used(secrets, "api"), kValue);
  });
  live([&](Secrets& secrets) {
    EXPECT_EQ(used(secrets, "api"), kValue);
    clock_.advance_ms(5);
    EXPECT_EQ(secrets.rotate("api", a_secret(kOther))->version, 2U);
    EXPECT_EQ(used(secrets, "api"), kOther) << "at once";
  });
  live([&](Secrets& secrets) {
    EXPECT_EQ(used(secrets, "api"), kOther);
    const auto all = secrets.list();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(std::tuple(all[0].name, all[0].version, all[0].created_ms, all[0].rotated_ms),
              std::tuple("api", 2U, 1000U, 1005U));
    ASSERT_TRUE(secrets.remove("api").ok());
    EXPECT_EQ(secrets.use("api").error().code, Errc::not_found);
    EXPECT_EQ(secrets.set("api", a_secret())->version, 1U);
  });
}

TEST_F(SecretsTest, what_cannot_be_done_is_refused_and_changes_nothing) {
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.set("api", a_secret()).ok());
    EXPECT_EQ(secrets.set("api", a_secret(kOther)).error().code, Errc::conflict);
    EXPECT_EQ(secrets.rotate("none", a_secret()).error().code, Errc::not_found);
    EXPECT_EQ(secrets.remove("none").error().code, Errc::not_found);
    EXPECT_EQ(secrets.use("none").error().code, Errc::not_found);
    for (const std::string name : {"", "A", "../x", "a b", "a/b"})
      EXPECT_EQ(secrets.set(name, a_secret()).error().code, Errc::invalid) << name;
    for (const std::size_t size : {std::size_t{0}, vault::kMaxValueBytes + 1}) {
      EXPECT_EQ(secrets.set("big", Secret::of_size(size).value()).error().code, Errc::invalid);
      EXPECT_EQ(secrets.rotate("api", Secret::of_size(size).value()).error().code, Errc::invalid);
    }
    EXPECT_THAT(names(secrets), ElementsAre("api"));
    EXPECT_EQ(used(secrets, "api"), kValue);
  });
}

TEST_F(SecretsTest, changes_at_once_are_made_one_after_another) {
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.set("api", a_secret()).ok());
    std::vector<std::uint64_t> versions;
    {
      fiber::TaskGroup group(*ctx_);
      for (int i = 0; i < 10; ++i) {
        group.spawn([&, i](const fiber::Context&) {
          const auto done = secrets.rotate("api", a_secret(kOther + std::to_string(i)));
          versions.push_back(done ? done->version : 0);
        });
      }
      group.join();
    }
    EXPECT_THAT(versions, ElementsAre(2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    EXPECT_EQ(used(secrets, "api"), kOther + "9");
  });
  live([&](Secrets& secrets) { EXPECT_EQ(used(secrets, "api"), kOther + "9"); });
}

TEST_F(SecretsTest, a_key_that_is_missing_is_asked_for_and_never_made_anew) {
  live([&](Secrets& secrets) { ASSERT_TRUE(secrets.set("api", a_secret()).ok()); });
  move_key("vault.key", "away");
  live([&](Secrets& secrets) {
    EXPECT_THAT(sink_.text, HasSubstr("the vault is closed"));
    for (const auto& refused :
         {secrets.set("db", a_secret()).error(), secrets.rotate("api", a_secret()).error(),
          secrets.use("api").error(), secrets.needles().error()}) {
      EXPECT_EQ(refused.code, Errc::denied);
      EXPECT_THAT(refused.message, HasSubstr("put it back"));
    }
    EXPECT_FALSE(has_key());
    EXPECT_THAT(names(secrets), ElementsAre("api")) << "what is there can still be seen";
    move_key("away", "vault.key");
    EXPECT_EQ(used(secrets, "api"), kValue) << "without a restart";
  });
  move_key("vault.key", "away");
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.remove("api").ok());
    ASSERT_TRUE(secrets.set("db", a_secret()).ok()) << "nothing is lost by a new key any more";
    EXPECT_TRUE(has_key());
  });
}

TEST_F(SecretsTest, nothing_is_sealed_with_a_key_that_is_in_memory_alone) {
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.set("api", a_secret()).ok());
    move_key("vault.key", "away");
    EXPECT_THAT(secrets.set("db", a_secret()).error().message, HasSubstr("has gone"));
    EXPECT_THAT(secrets.rotate("api", a_secret(kOther)).error().message, HasSubstr("put that one"));
    EXPECT_EQ(used(secrets, "api"), kValue);
    vault::make_key_file(state_.get(), random_).value();
    EXPECT_THAT(secrets.set("db", a_secret()).error().message, HasSubstr("is another one"));
    ASSERT_EQ(::unlinkat(state_.get(), "vault.key", 0), 0);
    ASSERT_TRUE(secrets.remove("api").ok());
    ASSERT_TRUE(secrets.set("db", a_secret(kOther)).ok()) << "a new one is made: nothing needs it";
    EXPECT_TRUE(has_key());
  });
  live([&](Secrets& secrets) { EXPECT_EQ(used(secrets, "db"), kOther); });
}

TEST_F(SecretsTest, another_key_is_named_and_seals_nothing_beside_the_first) {
  live([&](Secrets& secrets) { ASSERT_TRUE(secrets.set("api", a_secret()).ok()); });
  move_key("vault.key", "away");
  vault::make_key_file(state_.get(), random_).value();
  live([&](Secrets& secrets) {
    for (const auto& refused : {secrets.use("api").error(), secrets.set("db", a_secret()).error()})
      EXPECT_THAT(refused.message, HasSubstr("another key"));
    move_key("away", "vault.key");
    EXPECT_EQ(used(secrets, "api"), kValue);
  });
}

TEST_F(SecretsTest, a_credential_is_the_key_where_there_is_one) {
  const vault::Key key = vault::Key::make(random_).value();
  credential_ = &key;
  live([&](Secrets& secrets) { ASSERT_TRUE(secrets.set("api", a_secret()).ok()); });
  EXPECT_FALSE(has_key());
  live([&](Secrets& secrets) { EXPECT_EQ(used(secrets, "api"), kValue); });
  credential_ = nullptr;
  live([&](Secrets& secrets) { EXPECT_THAT(used(secrets, "api"), HasSubstr("not there")); });
}

TEST_F(SecretsTest, rows_that_were_swapped_or_edited_do_not_open) {
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.set("api", a_secret()).ok());
    ASSERT_TRUE(secrets.set("db", a_secret(kOther)).ok());
  });
  const std::string api = sealed_of("api"), db = sealed_of("db");
  change("UPDATE secrets SET sealed = '" + db + "' WHERE name = 'api'");
  change("UPDATE secrets SET version = 2 WHERE name = 'db'");
  live([&](Secrets& secrets) {
    for (const char* name : {"api", "db"}) {
      const auto refused = secrets.use(name);
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().code, Errc::internal);
      EXPECT_THAT(refused.error().message, HasSubstr("something else than Tare"));
      EXPECT_THAT(refused.error().message, HasSubstr(std::string("\"") + name + "\""));
    }
    EXPECT_FALSE(secrets.needles().ok()) << "who cannot look must not freeze";
    EXPECT_TRUE(secrets.rotate("db", a_secret()).ok()) << "a new value heals it";
    EXPECT_EQ(used(secrets, "db"), kValue);
  });
}

TEST_F(SecretsTest, a_row_that_cannot_be_read_hides_no_other_and_can_be_removed) {
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.set("api", a_secret()).ok());
    ASSERT_TRUE(secrets.set("db", a_secret(kOther)).ok());
  });
  change("UPDATE secrets SET sealed = '?' WHERE name = 'db'");
  live([&](Secrets& secrets) {
    EXPECT_THAT(sink_.text, HasSubstr("a secret cannot be read"));
    EXPECT_EQ(used(secrets, "api"), kValue);
    EXPECT_TRUE(secrets.list()[1].damaged);
    EXPECT_FALSE(secrets.use("db").ok());
    EXPECT_FALSE(secrets.rotate("db", a_secret()).ok());
    EXPECT_FALSE(secrets.needles().ok());
    ASSERT_TRUE(secrets.remove("db").ok());
    EXPECT_TRUE(secrets.needles().ok());
  });
}

TEST_F(SecretsTest, what_is_looked_for_is_a_values_beginning_unless_it_is_short_or_plain) {
  std::string large;
  for (std::size_t i = 0; i < vault::kMaxValueBytes; ++i) large += static_cast<char>(i * i % 251);
  live([&](Secrets& secrets) {
    ASSERT_TRUE(secrets.set("api", a_secret()).ok());
    ASSERT_TRUE(secrets.set("large", a_secret(large)).ok());
    ASSERT_TRUE(secrets.set("plain", a_secret("aaaaaaaaaaaaaaaaaaaaaaaa")).ok());
    ASSERT_TRUE(secrets.set("short", a_secret("fifteen-bytes!!")).ok());
    EXPECT_THAT(secrets.needles().value(),
                ElementsAre(snapshot::Needle{"api", kValue},
                            snapshot::Needle{"large", large.substr(0, snapshot::kMaxNeedleBytes)}));
  });
}

}  // namespace
}  // namespace tare::host

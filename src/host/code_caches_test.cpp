// Which folders hold compiled code of a runner. That they go, and what is beside them stays:
// tests/e2e/runner_cache_test.py.
#include "host/code_caches.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

TEST(CodeCaches, are_where_the_variables_of_the_interpreters_say) {
  const auto caches = code_caches(
      {"PYTHONPYCACHEPREFIX=/home/agent/cache", "A=b", "NODE_COMPILE_CACHE=/tmp/v8"});
  EXPECT_EQ(caches.python, "/home/agent/cache/opt/tare/runner");
  EXPECT_EQ(caches.node, "/tmp/v8");
}

TEST(CodeCaches, are_nowhere_where_no_variable_says_so_or_it_means_another_folder_each_time) {
  for (const std::vector<std::string>& variables :
       {std::vector<std::string>{},
        {"PATH=/usr/bin"},
        {"PYTHONPYCACHEPREFIX="},
        {"PYTHONPYCACHEPREFIX=cache", "NODE_COMPILE_CACHE=../cache"},
        {"XPYTHONPYCACHEPREFIX=/cache", "NODE_COMPILE_CACHES=/cache"}}) {
    EXPECT_EQ(code_caches(variables).python, "");
    EXPECT_EQ(code_caches(variables).node, "");
  }
}

TEST(CodeCaches, of_v8_are_known_by_the_name_that_node_gives_them) {
  for (const char* name : {"v22.12.0-x64-fb110d50-1000", "v22.1.0-arm64-0-0", "v24.0.0-x64-1f"})
    EXPECT_TRUE(is_node_cache(name)) << name;
  for (const char* name : {"", "v", "src", "v22.12.0", "v22.12.0-x64", "22.12.0-x64-fb110d50-1000",
                           "v22.12.0-x64-fb110d50-1000-old", "v22.12.0-x64-notes-1000",
                           "vendor-x64-fb110d50-1000", "v22.12.0-x64-fb110d50-me"})
    EXPECT_FALSE(is_node_cache(name)) << name;
}

}  // namespace
}  // namespace tare::host

#include "cli/lineage.h"

#include <gtest/gtest.h>

namespace tare::cli {
namespace {

Json environment(std::string_view name, const std::vector<std::string>& layers) {
  JsonArray list;
  for (const std::string& layer : layers) list.emplace_back("sha256:" + layer);
  return JsonObject{{"name", name},
                    {"digest", layers.empty() ? "" : "sha256:" + layers.back()},
                    {"size_bytes", 1024 * layers.size()},
                    {"layers", std::move(list)}};
}

TEST(Lineage, a_child_has_all_layers_of_its_parent_and_more_above_them) {
  const JsonArray all = {environment("leaf", {"a", "b", "c", "d"}),
                         environment("base", {"a"}),
                         environment("other", {"x"}),
                         environment("tool", {"a", "b"}),
                         environment("tool-2", {"a", "b"}),
                         environment("sister", {"a", "e"}),
                         environment("swapped", {"b", "a"}),
                         environment("host", {})};
  EXPECT_EQ(lineage_text(lineage(all)),
            "base  sha256:a  1K\n"
            "|- sister  sha256:e  2K\n"
            "`- tool, tool-2  sha256:b  2K\n"
            "   `- leaf  sha256:d  4K\n"
            "other  sha256:x  1K\n"
            "swapped  sha256:a  2K\n");
}

TEST(Lineage, lines_show_whose_children_they_are) {
  const JsonArray all = {environment("a", {"1"}), environment("b", {"1", "2"}),
                         environment("c", {"1", "2", "3"}), environment("d", {"1", "4"})};
  EXPECT_EQ(lineage_text(lineage(all)),
            "a  sha256:1  1K\n"
            "|- b  sha256:2  2K\n"
            "|  `- c  sha256:3  3K\n"
            "`- d  sha256:4  2K\n");
  const JsonArray json = lineage_json(lineage(all));
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0].at("children").as_array().size(), 2U);
  EXPECT_EQ(json[0].at("children").at(0).at("children").at(0).at("names").at(0), "c");
}

TEST(Lineage, of_nothing_is_nothing) { EXPECT_EQ(lineage_text(lineage({})), ""); }

}  // namespace
}  // namespace tare::cli

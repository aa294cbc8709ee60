#include "base/suggest.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

TEST(EditDistance, CountsTheFourMistakes) {
  EXPECT_EQ(edit_distance("embed", "embed"), 0u);
  EXPECT_EQ(edit_distance("embd", "embed"), 1u);
  EXPECT_EQ(edit_distance("embeed", "embed"), 1u);
  EXPECT_EQ(edit_distance("enbed", "embed"), 1u);
  EXPECT_EQ(edit_distance("emebd", "embed"), 1u);
  EXPECT_EQ(edit_distance("", "embed"), 5u);
  EXPECT_EQ(edit_distance("abc", "xyz"), 3u);
}

TEST(Closest, FindsWhatWasMeant) {
  const std::vector<std::string_view> known = {"fill-mask", "generate", "embed", "tokenize",
                                               "detokenize"};
  EXPECT_EQ(closest("fillmask", known), "fill-mask");
  EXPECT_EQ(closest("fill_mask", known), "fill-mask");
  EXPECT_EQ(closest("genrate", known), "generate");
  EXPECT_EQ(closest("gen", known), "generate");
  EXPECT_EQ(closest("tokenise", known), "tokenize");
}

TEST(Closest, StaysSilentWhenNothingIsNear) {
  const std::vector<std::string_view> known = {"fill-mask", "embed"};
  EXPECT_EQ(closest("banana", known), std::nullopt);
  EXPECT_EQ(closest("", known), std::nullopt);
  EXPECT_EQ(closest("x", known), std::nullopt);
  EXPECT_EQ(closest(std::string(1000, 'e'), known), std::nullopt);
}

}  // namespace
}  // namespace ettin

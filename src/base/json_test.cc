#include "base/json.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

std::string error_of(std::string_view text, JsonLimits limits = {}) {
  const Result<Json> r = parse_json(text, "x.json", limits);
  return r.ok() ? "" : r.status().message();
}

TEST(Json, KeepsOrderAndValues) {
  const Result<Json> r = parse_json(R"({"b":1,"a":[true,null,-2,1.5,"\u00e9"]})", "x.json");
  ASSERT_TRUE(r.ok()) << r.status().to_string();
  EXPECT_EQ(dump_json(*r), "{\"b\":1,\"a\":[true,null,-2,1.5,\"\xc3\xa9\"]}");
}

TEST(Json, RefusesWhatTheLibraryWouldLetThrough) {
  EXPECT_NE(error_of(R"({"a":1,"a":2})").find("duplicate key \"a\""), std::string::npos);
  EXPECT_NE(error_of("[18446744073709551616]").find("64 bits"), std::string::npos);
  const auto big = parse_json("[18446744073709551616]", "x", {.big_integers = true});
  ASSERT_TRUE(big.ok());
  EXPECT_EQ((*big)[0].get<double>(), 18446744073709551616.0);
  EXPECT_NE(error_of("\xef\xbb\xbf{}").find("byte order mark"), std::string::npos);
  EXPECT_NE(error_of(std::string_view("{}\0", 3)).find("NUL"), std::string::npos);
  EXPECT_NE(error_of("[[[[]]]]", {.max_depth = 3}).find("nested deeper"), std::string::npos);
  EXPECT_NE(error_of("[1,2,3]", {.max_bytes = 3}).find("limit is 3"), std::string::npos);
  EXPECT_NE(error_of("{} x"), "");
  EXPECT_NE(error_of("\"\xff\""), "");
  EXPECT_NE(error_of("\"\\ud800\""), "");
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of(std::string(1000000, '[')), "");
}

TEST(Json, TypedGettersNameFileKeyAndTypes) {
  const Json j = *parse_json(R"({"n":3,"s":"x","z":null,"big":18446744073709551615})", "c.json");
  EXPECT_EQ(*json_get<int64_t>(j, "n", "c.json"), 3);
  EXPECT_EQ(*json_get<double>(j, "n", "c.json"), 3.0);
  EXPECT_FALSE(json_find<int64_t>(j, "z", "c.json")->has_value());
  EXPECT_FALSE(json_find<int64_t>(j, "absent", "c.json")->has_value());
  EXPECT_FALSE(json_get<int64_t>(j, "big", "c.json").ok());
  EXPECT_EQ(json_get<int64_t>(j, "s", "c.json").status().message(),
            "c.json: key \"s\" should be an integer, but is string");
  EXPECT_EQ(json_get<bool>(j, "absent", "c.json").status().message(),
            "c.json: key \"absent\" is missing");
}

TEST(Json, WriterNeverThrows) { EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xef\xbf\xbd\""); }

}  // namespace
}  // namespace ettin

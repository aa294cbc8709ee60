#include "hub/settings.h"

#include <map>

#include <gtest/gtest.h>

#include "base/test_files.h"

namespace ettin {
namespace {

Result<HubSettings> with(const std::map<std::string, std::string>& variables) {
  return hub_settings([&](const char* name) {
    const auto at = variables.find(name);
    return at == variables.end() ? std::string() : at->second;
  });
}

TEST(HubSettings, CacheFollowsTheVariablesInOrder) {
  EXPECT_EQ(with({{"HOME", "/h"}})->cache, "/h/.cache/huggingface/hub");
  EXPECT_EQ(with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}})->cache, "/x/huggingface/hub");
  EXPECT_EQ(with({{"HF_HOME", "/f"}, {"XDG_CACHE_HOME", "/x"}})->cache, "/f/hub");
  EXPECT_EQ(with({{"HF_HOME", "/f"}, {"HF_HUB_CACHE", "/c"}})->cache, "/c");
}

TEST(HubSettings, OfflineAndEndpoint) {
  EXPECT_EQ(with({{"HOME", "/h"}})->endpoint, "https://huggingface.co");
  EXPECT_EQ(with({{"HOME", "/h"}, {"HF_ENDPOINT", "http://x:1/"}})->endpoint, "http://x:1");
  EXPECT_FALSE(with({{"HOME", "/h"}, {"HF_ENDPOINT", "file:///etc"}}).ok());
  EXPECT_FALSE(with({{"HOME", "/h"}, {"HF_HUB_OFFLINE", "0"}})->offline);
  EXPECT_TRUE(with({{"HOME", "/h"}, {"HF_HUB_OFFLINE", "Yes"}})->offline);
}

TEST(HubSettings, TokenFromTheVariableOrTheFile) {
  const test::TempDir home;
  home.write("token", "from-file\n");
  EXPECT_EQ(with({{"HF_HOME", home.path()}})->token, "from-file");
  EXPECT_EQ(with({{"HF_HOME", home.path()}, {"HF_TOKEN", "mine"}})->token, "mine");
  // A line end inside would let it add lines to a request.
  home.write("token", "a\r\nHost: b");
  const auto bad = with({{"HF_HOME", home.path()}});
  EXPECT_TRUE(!bad.ok() || bad->token.find('\n') == std::string::npos);
}

}  // namespace
}  // namespace ettin

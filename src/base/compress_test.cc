#include "base/compress.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/test_files.h"

namespace ettin {
namespace {

using test::TempDir;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string some_text() {
  std::string text;
  for (int i = 0; i < 60000; ++i) text += std::to_string(i * 7919 % 1000) + (i % 9 ? " " : "\n");
  return text;
}

struct Case {
  Compression kind;
  std::string (*compress)(std::string_view);
};
const Case kCases[] = {
    {Compression::zstd, [](std::string_view text) { return zstd_compress(bytes_of(text)); }},
    {Compression::gzip, [](std::string_view text) { return gzip_compress(bytes_of(text)); }},
};

TEST(Compress, WhatGoesInComesOut) {
  for (const Case& c : kCases) {
    for (const std::string& text : {std::string(), std::string("a"), some_text()}) {
      const std::string packed = c.compress(text);
      EXPECT_EQ(detect_compression(bytes_of(packed)), c.kind);
      const auto out = decompress(bytes_of(packed), c.kind, text.size(), "x");
      ASSERT_TRUE(out.ok()) << out.status().to_string();
      EXPECT_EQ(*out, text);
      // Frames and members one after the other are one text.
      const auto twice = decompress(bytes_of(packed + packed), c.kind, 2 * text.size(), "x");
      ASSERT_TRUE(twice.ok()) << twice.status().to_string();
      EXPECT_EQ(*twice, text + text);
    }
  }
}

TEST(Compress, NoMoreComesOutThanTheCallerAllows) {
  const std::string zeros(size_t{4} << 20, '\0');
  for (const Case& c : kCases) {
    const std::string bomb = c.compress(zeros);
    ASSERT_LT(bomb.size(), size_t{64} << 10);
    const auto out = decompress(bytes_of(bomb), c.kind, 1000, "bomb.mds.zstd");
    EXPECT_EQ(out.status().code(), StatusCode::resource_limit);
    EXPECT_NE(out.status().message().find("bomb.mds.zstd"), std::string::npos);
  }
}

TEST(Compress, DamageIsSeen) {
  const std::string text = some_text();
  for (const Case& c : kCases) {
    const std::string packed = c.compress(text);
    for (const size_t keep : {size_t{0}, size_t{3}, packed.size() / 2, packed.size() - 1}) {
      const auto out = decompress(bytes_of(packed.substr(0, keep)), c.kind, text.size(), "x");
      EXPECT_EQ(out.status().code(), StatusCode::bad_data) << keep;
    }
    EXPECT_FALSE(decompress(bytes_of(packed + "tail"), c.kind, text.size(), "x").ok());
  }
}

TEST(Compress, LinesOfEveryKindOfFile) {
  const TempDir folder;
  const std::string text = "first\r\n\nthird, " + std::string(300000, 'x') + "\nno line end";
  std::vector<std::string> paths = {folder.write("plain", text)};
  for (const Case& c : kCases) {
    paths.push_back(folder.write("packed" + std::to_string(paths.size()), c.compress(text)));
  }
  for (const std::string& path : paths) {
    auto stream = InputStream::open(path);
    ASSERT_TRUE(stream.ok()) << stream.status().to_string();
    std::vector<std::string> lines;
    for (;;) {
      auto line = stream->line(size_t{1} << 20);
      ASSERT_TRUE(line.ok()) << line.status().to_string();
      if (!*line) break;
      lines.push_back(**line);
    }
    ASSERT_EQ(lines.size(), 4u) << path;
    EXPECT_EQ(lines[0], "first");
    EXPECT_EQ(lines[1], "");
    EXPECT_EQ(lines[2].size(), 300007u);
    EXPECT_EQ(lines[3], "no line end");

    auto again = InputStream::open(path);
    ASSERT_TRUE(again->line(10).ok());
    ASSERT_TRUE(again->line(10).ok());
    const auto long_line = again->line(10);
    EXPECT_EQ(long_line.status().code(), StatusCode::resource_limit);
    EXPECT_NE(long_line.status().message().find("line 3"), std::string::npos);
  }
}

TEST(Compress, AStreamThatWasCutOffIsAnError) {
  const TempDir folder;
  const std::string text = some_text();
  for (const Case& c : kCases) {
    const std::string packed = c.compress(text);
    auto stream = InputStream::open(folder.write("cut", packed.substr(0, packed.size() - 5)));
    ASSERT_TRUE(stream.ok());
    std::vector<char> room(size_t{1} << 20);
    Result<size_t> n = stream->read(room);
    while (n.ok() && *n > 0) n = stream->read(room);
    EXPECT_EQ(n.status().code(), StatusCode::bad_data);
  }
  EXPECT_EQ(InputStream::open(folder.path() + "/none").status().code(), StatusCode::not_found);
}

}  // namespace
}  // namespace ettin

#include "data/documents.h"

#include <gtest/gtest.h>

#include "base/test_files.h"

namespace ettin {
namespace {

using test::TempDir;

std::vector<std::string> read(const std::vector<SourceFile>& files, DocumentBoundary boundary,
                              Status* failure = nullptr) {
  DocumentReader reader(files, boundary, "text");
  std::vector<std::string> texts;
  for (;;) {
    const auto document = reader.next();
    if (!document.ok() && failure != nullptr) *failure = document.status();
    EXPECT_TRUE(document.ok() || failure != nullptr) << document.status().to_string();
    if (!document.ok() || !*document) return texts;
    texts.push_back((*document)->text);
  }
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(Documents, WhatADocumentOfATextFileIs) {
  const TempDir folder;
  const std::string text = "a b\nc\n\n \nd\r\ne\n";
  const std::vector<SourceFile> files = {{folder.write("x.txt", text), "x.txt"}};
  EXPECT_EQ(read(files, DocumentBoundary::file), (std::vector<std::string>{"a b\nc\n\n \nd\ne"}));
  EXPECT_EQ(read(files, DocumentBoundary::blank_line),
            (std::vector<std::string>{"a b\nc", "d\ne"}));
  EXPECT_EQ(read(files, DocumentBoundary::line), (std::vector<std::string>{"a b", "c", "d", "e"}));
}

TEST(Documents, FilesOfEveryKindInAFixedOrder) {
  const TempDir folder;
  const std::string object = R"({"id": 7, "text": "an \u00e9 object"})";
  folder.write("in/b.txt", "plain");
  folder.write("in/a/c.jsonl", object + "\n\n" + object + "\n");
  folder.write("in/d.txt.gz", gzip_compress(bytes_of("gzip")));
  folder.write("in/e.jsonl.zst", zstd_compress(bytes_of(object)));
  folder.write("in/f.csv", "no");
  folder.write("in/.hidden.txt", "no");
  folder.write("in/empty.txt", "\n\n");
  const auto files = find_source_files({folder.path() + "/in/", folder.path() + "/in/b.txt"});
  ASSERT_TRUE(files.ok()) << files.status().to_string();
  std::vector<std::string> names;
  for (const SourceFile& file : *files) names.push_back(file.name);
  EXPECT_EQ(names, (std::vector<std::string>{"in/a/c.jsonl", "in/b.txt", "in/d.txt.gz",
                                             "in/e.jsonl.zst", "in/empty.txt", "b.txt"}));
  EXPECT_EQ(read(*files, DocumentBoundary::file),
            (std::vector<std::string>{"an é object", "an é object", "plain", "gzip", "an é object",
                                      "plain"}));
}

TEST(Documents, MistakesNameFileAndLine) {
  const TempDir folder;
  const auto fails = [&](const std::string& line, const std::string& words) {
    const std::string path = folder.write("x.jsonl", "{\"text\": \"a\"}\n" + line + "\n");
    Status failure;
    EXPECT_EQ(read({{path, "x"}}, DocumentBoundary::file, &failure).size(), 1u);
    EXPECT_EQ(failure.code(), StatusCode::bad_data);
    EXPECT_NE(failure.message().find("x.jsonl line 2"), std::string::npos) << failure.message();
    EXPECT_NE(failure.message().find(words), std::string::npos) << failure.message();
  };
  fails("{\"text\": ", "JSON");
  fails("{\"body\": \"a\"}", "\"text\" is missing");
  fails("{\"text\": 5}", "should be a string");
  fails("[1]", "\"text\" is missing");
  EXPECT_EQ(find_source_files({folder.path() + "/none.txt"}).status().code(),
            StatusCode::not_found);
  EXPECT_EQ(find_source_files({folder.write("x.csv", "")}).status().code(),
            StatusCode::invalid_argument);
  const TempDir empty;
  EXPECT_EQ(find_source_files({empty.path()}).status().code(), StatusCode::not_found);
}

}  // namespace
}  // namespace ettin

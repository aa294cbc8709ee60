#include "text_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace ettin::cli {
namespace {

class TextReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "ettin_text_reader_" + std::to_string(::getpid());
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  TextFlags file(std::string_view contents, bool lines = false) {
    std::ofstream(path_, std::ios::binary) << contents;
    TextFlags flags;
    flags.input = path_;
    flags.lines = lines;
    return flags;
  }

  // Texts of all chunks of at most `most`; the status that ended them.
  static Status read_all(const TextFlags& flags, size_t most, std::vector<std::string>* texts) {
    Result<TextReader> reader = TextReader::open(flags);
    if (!reader.ok()) return reader.status();
    for (;;) {
      const auto chunk = reader->next(most);
      if (!chunk.ok()) return chunk.status();
      if (chunk->empty()) return {};
      EXPECT_LE(chunk->size(), most);
      for (const Record& record : *chunk) texts->push_back(record.input.text);
    }
  }

  std::string path_;
  std::vector<std::string> texts_;
};

TEST_F(TextReaderTest, ArgumentsInOrder) {
  TextFlags flags;
  flags.texts = {"a", "b", "c"};
  ASSERT_TRUE(read_all(flags, 2, &texts_).ok());
  EXPECT_EQ(texts_, flags.texts);
}

TEST_F(TextReaderTest, JsonLines) {
  const TextFlags flags = file(
      "\xef\xbb\xbf{\"text\": \"one\", \"id\": 7}\r\n\n{\"text\": \"two\", \"pair\": \"too\"}\n"
      "{\"id\": \"c\", \"text\": \"three\", \"other\": []}");
  auto reader = TextReader::open(flags);
  ASSERT_TRUE(reader.ok());
  const auto chunk = reader->next(10);
  ASSERT_TRUE(chunk.ok()) << chunk.status().to_string();
  ASSERT_EQ(chunk->size(), 3u);
  EXPECT_EQ((*chunk)[0].input.text, "one");
  EXPECT_EQ((*chunk)[0].id, Json(7));
  EXPECT_EQ((*chunk)[1].input.pair, "too");
  EXPECT_EQ((*chunk)[1].id, std::nullopt);
  EXPECT_EQ((*chunk)[1].where, path_ + " line 3");
  EXPECT_EQ((*chunk)[2].id, Json("c"));
  EXPECT_TRUE(reader->next(10)->empty());
}

TEST_F(TextReaderTest, PlainLinesKeepEmptyOnes) {
  ASSERT_TRUE(read_all(file("one\n\nthree\r\nfour", true), 3, &texts_).ok());
  EXPECT_EQ(texts_, (std::vector<std::string>{"one", "", "three", "four"}));
}

TEST_F(TextReaderTest, LinesLongerThanABlock) {
  const std::string big(300'000, 'x');
  ASSERT_TRUE(read_all(file(big + "\n" + big + "y\nz\n", true), 1, &texts_).ok());
  EXPECT_EQ(texts_, (std::vector<std::string>{big, big + "y", "z"}));
}

TEST_F(TextReaderTest, AnswersWhatStandsBeforeABadLine) {
  const Status status =
      read_all(file("{\"text\": \"one\"}\n{\"text\": \"two\"}\nthree\n"), 10, &texts_);
  EXPECT_EQ(texts_, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_NE(status.message().find(" line 3"), std::string::npos) << status.message();
  EXPECT_NE(status.hint().find("--lines"), std::string::npos);
}

TEST_F(TextReaderTest, RefusesRecordsOfAnotherShape) {
  for (const char* line :
       {"[]", "\"text\"", "{}", "{\"text\": 3}", "{\"text\": \"a\", \"pair\": 1}",
        "{\"text\": \"a\", \"text\": \"b\"}"}) {
    texts_.clear();
    EXPECT_EQ(read_all(file(line), 10, &texts_).code(), StatusCode::invalid_argument) << line;
  }
}

TEST_F(TextReaderTest, ThePairOfTheCommandLineIsTheDefault) {
  TextFlags flags = file("{\"text\": \"a\"}\n{\"text\": \"b\", \"pair\": \"own\"}\n");
  flags.pair = "given";
  const auto chunk = TextReader::open(flags)->next(10);
  ASSERT_TRUE(chunk.ok());
  EXPECT_EQ((*chunk)[0].input.pair, "given");
  EXPECT_EQ((*chunk)[1].input.pair, "own");
}

TEST_F(TextReaderTest, SaysWhatIsMissing) {
  EXPECT_EQ(TextReader::open({}).status().code(), StatusCode::invalid_argument);
  TextFlags flags;
  flags.input = path_ + ".absent";
  EXPECT_EQ(TextReader::open(flags).status().code(), StatusCode::not_found);
  flags.texts = {"a"};
  EXPECT_EQ(TextReader::open(flags).status().code(), StatusCode::invalid_argument);
  flags.input.clear();
  flags.lines = true;
  EXPECT_EQ(TextReader::open(flags).status().code(), StatusCode::invalid_argument);
  flags = {};
  flags.input = testing::TempDir();
  EXPECT_EQ(read_all(flags, 10, &texts_).code(), StatusCode::io_error);
}

TEST_F(TextReaderTest, ChunksAreBounded) {
  std::string contents;
  for (int i = 0; i < 1000; ++i) contents += std::to_string(i) + "\n";
  ASSERT_TRUE(read_all(file(contents, true), 64, &texts_).ok());
  ASSERT_EQ(texts_.size(), 1000u);
  EXPECT_EQ(texts_[999], "999");
}

}  // namespace
}  // namespace ettin::cli

// Runs the tables of hostile files: each must be refused with words that name the file and the
// fault, and without asking for more memory than the file's own size accounts for.
#include <iostream>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/test_alloc_probe.h"
#include "formats/hf_config.h"
#include "formats/sentence_transformers.h"
#include "formats/tensor_source.h"
#include "formats/test_support.h"

namespace ettin::test {
namespace {

Status read(Reader reader, const std::string& directory) {
  switch (reader) {
    case Reader::weights:
      return TensorSource::open(directory).status();
    case Reader::config:
      return read_hf_config(directory).status();
    case Reader::generation:
      return read_generation_config(directory).status();
    case Reader::sentence:
      return read_sentence_modules(directory).status();
  }
  return {};
}

void run(const std::vector<HostileCase>& cases, size_t at_least) {
  EXPECT_GE(cases.size(), at_least);
  for (const HostileCase& c : cases) {
    SCOPED_TRACE(c.name);
    const TempDir directory;
    size_t bytes = 0;
    for (const auto& [name, contents] : c.files) {
      directory.write(name, contents);
      bytes += contents.size();
    }
    const size_t before = bytes_requested();
    const Status status = read(c.reader, directory.path());
    const size_t requested = bytes_requested() - before;
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.code(), StatusCode::internal);
    EXPECT_NE(status.message().find(c.words), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(c.file), std::string::npos) << status.message();
    // One byte of pickle builds a value of 56 bytes, counted twice while a vector grows; the limits
    // of the machine keep the sum small however long the pickle is.
    EXPECT_LE(requested, (size_t{1} << 20) + 128 * bytes) << status.message();
    EXPECT_LE(requested, size_t{256} << 20) << status.message();
  }
}

TEST(Hostile, Safetensors) { run(hostile_safetensors(), 60); }
TEST(Hostile, Indexes) { run(hostile_indexes(), 25); }
TEST(Hostile, Zips) { run(hostile_zips(), 70); }
TEST(Hostile, Pickles) { run(hostile_pickles(), 120); }
TEST(Hostile, Configs) { run(hostile_configs(), 110); }
TEST(Hostile, SentenceModules) { run(hostile_sentence_modules(), 50); }

TEST(Hostile, CountsItsCases) {
  std::set<std::string> names;
  size_t total = 0;
  for (const auto& cases : {hostile_safetensors(), hostile_indexes(), hostile_zips(),
                            hostile_pickles(), hostile_configs(), hostile_sentence_modules()}) {
    total += cases.size();
    for (const HostileCase& c : cases) EXPECT_TRUE(names.insert(c.name).second) << c.name;
  }
  std::cout << "hostile files: " << total << " named cases\n";
  RecordProperty("hostile_cases", static_cast<int>(total));
  EXPECT_GE(total, 170U);
}

}  // namespace
}  // namespace ettin::test

// ONNX files that are damaged or malicious: one clear error each, no crash, nothing read outside.
#include <filesystem>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/test_files.h"
#include "formats/onnx/import.h"
#include "golden.h"

namespace ettin {
namespace {

const std::string kFolder = ETTIN_SHARED_DIR "/data/onnx/";

TEST(OnnxHostile, EveryFixtureIsRefusedByName) {
  ETTIN_NEED_SHARED("data/onnx/hostile/expected.json");
  const Json expected = test::must_read_json(kFolder + "hostile/expected.json");
  const std::map<std::string, std::string> reasons = {
      {"truncated_protobuf", "bytes, but"},
      {"external_dotdot", "refused file name"},
      {"dims_overflow", "overflow"},
      {"external_absolute", "refused file name"},
      {"external_backslash_dotdot", "refused file name"},
      {"external_past_end", "are wanted, which has"},
      {"external_offset_wrap", "is no size"},
      {"external_length_short", "but its dimensions need"},
      {"raw_too_short", "but its dimensions need"},
      {"negative_dim", "a dimension is -"},
      {"huge_dim_no_data", "dimensions need"},
      {"length_past_end", "bytes, but"},
      {"varint_overlong", "longer than 64 bits"},
      {"deep_nesting", "graph of its own"},
      {"cycle", "nothing before it makes"},
      {"bad_wire_type", "wire type"},
      {"empty", "no graph"},
  };
  EXPECT_EQ(expected.size(), reasons.size());
  for (const auto& [name, why] : reasons) {
    ASSERT_TRUE(expected.contains(name)) << name;
    const std::string path = kFolder + "hostile/" + name + ".onnx";
    const auto imported = onnx::import_onnx(path);
    ASSERT_FALSE(imported.ok()) << name;
    const std::string message = imported.status().to_string();
    EXPECT_NE(message.find(path), std::string::npos) << message;
    EXPECT_NE(message.find(why), std::string::npos) << message;
  }
}

class OnnxDamaged : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ETTIN_NEED_SHARED("data/onnx/README.md");
    const std::filesystem::path path = kFolder + GetParam();
    name_ = path.filename().string();
    whole_ = test::slurp(path.string());
    const std::string data = path.string() + "_data";
    if (file_exists(data)) dir_.write(name_ + "_data", test::slurp(data));
  }

  bool imports(std::string_view bytes) { return onnx::import_onnx(dir_.write(name_, bytes)).ok(); }

  test::TempDir dir_;
  std::string name_, whole_;
};

TEST_P(OnnxDamaged, CutAnywhereItIsRefused) {
  if (IsSkipped()) return;
  ASSERT_TRUE(imports(whole_));
  // Every byte of the beginning and of the end, and a sample between: each reading takes its time.
  for (size_t n = 0; n < whole_.size(); n += n < 300 || n + 300 > whole_.size() ? 1 : 97) {
    EXPECT_FALSE(imports(std::string_view(whole_).substr(0, n))) << n << " of " << whole_.size();
  }
}

TEST_P(OnnxDamaged, FlippedBytesDoNoHarm) {
  if (IsSkipped()) return;
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = whole_;
    for (int flips = 0; flips < 1 + round % 3; ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    imports(bytes);  // either way: no crash, which the sanitizers watch
  }
}

INSTANTIATE_TEST_SUITE_P(, OnnxDamaged,
                         testing::Values("encoder-fused/onnx/model_q4.onnx",
                                         "encoder-dynamo/onnx/model_q4f16.onnx",
                                         "decoder-fused/onnx/model_quantized.onnx"),
                         [](const auto& file) { return "file_" + std::to_string(file.index); });

// A link of the external data that leaves the folder is refused; one that stays is followed.
TEST(OnnxHostile, LinksStayInsideTheFolder) {
  ETTIN_NEED_SHARED("data/onnx/README.md");
  namespace fs = std::filesystem;
  const test::TempDir dir;
  const std::string from = kFolder + "encoder-fused/onnx/model.onnx";
  const std::string path = dir.write("m/model.onnx", test::slurp(from));
  const std::string outside = dir.write("elsewhere", test::slurp(from + "_data"));
  fs::create_symlink(outside, path + "_data");
  const auto refused = onnx::import_onnx(path);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("leaves the model directory"), std::string::npos);
  fs::remove(path + "_data");
  fs::rename(outside, dir.path() + "/m/real");
  fs::create_symlink("real", path + "_data");
  EXPECT_TRUE(onnx::import_onnx(path).ok());
}

}  // namespace
}  // namespace ettin

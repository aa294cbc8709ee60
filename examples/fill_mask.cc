// The smallest program on top of ettin: fills the masks of sentences with an encoder and continues
// a sentence with its decoder twin.
//   fill_mask ENCODER_DIR DECODER_DIR
#include <cstdio>

#include "ettin/ettin.h"

namespace {

int fail(const ettin::Status& status) {
  std::fprintf(stderr, "error: %s\n", status.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fill_mask ENCODER_DIR DECODER_DIR\n");
    return 2;
  }
  // A Model is cheap to copy and safe to share between threads.
  const auto encoder = ettin::Model::load(argv[1]);
  if (!encoder.ok()) return fail(encoder.status());
  const auto answers =
      encoder->fill_mask({{"The capital of France is [MASK]."}, {"A [MASK] is a kind of fruit."}});
  if (!answers.ok()) return fail(answers.status());
  for (const ettin::FillMaskResult& answer : *answers) {
    const ettin::FillMaskCandidate& best = answer.masks[0][0];
    std::printf("%5.1f %%  %s\n", 100 * best.score, best.sequence.c_str());
  }

  const auto decoder = ettin::Model::load(argv[2]);
  if (!decoder.ok()) return fail(decoder.status());
  ettin::GenerateOptions options;
  options.max_new_tokens = 8;
  const auto texts = decoder->generate({{"The capital of Germany is"}}, options);
  if (!texts.ok()) return fail(texts.status());
  std::printf("The capital of Germany is%s\n", (*texts)[0].text.c_str());
  return 0;
}

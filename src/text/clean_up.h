// The removal of spaces that Hugging Face's clean_up_tokenization_spaces asks for.
#pragma once

#include <string>

namespace ettin {

// " ." -> "." and its kin, one rule after the other over the whole text.
std::string clean_up_spaces(std::string text);

}  // namespace ettin

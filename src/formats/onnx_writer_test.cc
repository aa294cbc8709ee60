#include "formats/onnx_writer.h"

#include <gtest/gtest.h>

#include "python.hpp"

namespace bopscount::bindings {

const Names &names() {
  static const Names interned = [] {
    const auto intern = [](const char *text) { return PyUnicode_InternFromString(text); };
    return Names{intern("shape"),
                 intern("dtype"),
                 intern("itemsize"),
                 intern("is_floating_point"),
                 intern("detach"),
                 intern("forward"),
                 intern("numel"),
                 intern("_modules"),
                 intern("_parameters"),
                 intern("_buffers"),
                 intern("weight"),
                 intern("bias"),
                 intern("running_mean"),
                 intern("in_channels"),
                 intern("out_channels"),
                 intern("groups"),
                 intern("kernel_size"),
                 intern("stride"),
                 intern("padding"),
                 intern("dilation"),
                 intern("output_padding"),
                 intern("ceil_mode"),
                 intern("count_include_pad"),
                 intern("return_indices"),
                 intern("output_size"),
                 intern("in_features"),
                 intern("out_features"),
                 intern("num_features"),
                 intern("num_channels"),
                 intern("num_groups"),
                 intern("normalized_shape"),
                 intern("size"),
                 intern("inplace"),
                 intern("training"),
                 intern("start_dim"),
                 intern("end_dim"),
                 intern("dim"),
                 intern("embedding_dim"),
                 intern("scale_factor"),
                 intern("upscale_factor"),
                 intern("_forward_hooks"),
                 intern("_forward_pre_hooks"),
                 intern("_backward_hooks"),
                 intern("_backward_pre_hooks"),
                 intern("__enter__"),
                 intern("__exit__"),
                 intern("same"),
                 intern("mode"),
                 intern("padding_mode"),
                 intern("zeros"),
                 intern("reflect"),
                 intern("circular"),
                 intern("divisor_override"),
                 intern("approximate"),
                 intern("lambd")};
  }();
  return interned;
}

} // namespace bopscount::bindings

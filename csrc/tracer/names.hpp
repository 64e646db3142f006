/// Attribute names as interned Python strings.
#pragma once

#include <Python.h>

namespace bopscount::tracer {

/// Attribute names, interned once per process.
struct Names {
  // Tensors and dtypes.
  PyObject *shape = intern("shape"), *dtype = intern("dtype"), *itemsize = intern("itemsize"),
           *is_floating_point = intern("is_floating_point"), *numel = intern("numel"),
           *data = intern("data"), *is_meta = intern("is_meta"), *fill = intern("fill_");
  // Every module.
  PyObject *forward = intern("forward"), *training = intern("training"),
           *modules = intern("_modules"), *parameters = intern("_parameters"),
           *buffers = intern("_buffers"), *forward_hooks = intern("_forward_hooks"),
           *forward_pre_hooks = intern("_forward_pre_hooks"),
           *backward_hooks = intern("_backward_hooks"),
           *backward_pre_hooks = intern("_backward_pre_hooks");
  // Classes.
  PyObject *call = intern("__call__"), *name = intern("__name__"), *getattr = intern("__getattr__");
  // Leaf modules.
  PyObject *weight = intern("weight"), *bias = intern("bias"),
           *running_mean = intern("running_mean"), *in_channels = intern("in_channels"),
           *out_channels = intern("out_channels"), *groups = intern("groups"),
           *kernel_size = intern("kernel_size"), *stride = intern("stride"),
           *padding = intern("padding"), *dilation = intern("dilation"),
           *output_padding = intern("output_padding"), *ceil_mode = intern("ceil_mode"),
           *count_include_pad = intern("count_include_pad"),
           *return_indices = intern("return_indices"), *output_size = intern("output_size"),
           *in_features = intern("in_features"), *out_features = intern("out_features"),
           *num_features = intern("num_features"), *num_channels = intern("num_channels"),
           *num_groups = intern("num_groups"), *normalized_shape = intern("normalized_shape"),
           *size = intern("size"), *inplace = intern("inplace"), *start_dim = intern("start_dim"),
           *end_dim = intern("end_dim"), *dim = intern("dim"),
           *embedding_dim = intern("embedding_dim"), *scale_factor = intern("scale_factor"),
           *upscale_factor = intern("upscale_factor"), *same = intern("same"),
           *mode = intern("mode"), *padding_mode = intern("padding_mode"), *zeros = intern("zeros"),
           *reflect = intern("reflect"), *circular = intern("circular"),
           *divisor_override = intern("divisor_override"), *approximate = intern("approximate"),
           *lambd = intern("lambd");

private:
  static PyObject *intern(const char *text) { return PyUnicode_InternFromString(text); }
};

/// Return the names.
const Names &names();

} // namespace bopscount::tracer

"""Machinery of the backbone `onnx`: a file is read, made static, written as steps of torch."""

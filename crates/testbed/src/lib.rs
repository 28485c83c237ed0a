//! Plan to kernel, processes, scenario clock and sniffers.

//! QEMU: kernel, initramfs, boot, results.

# SPDX-License-Identifier: Apache-2.0
# Cross build for ARM64: cmake -D CMAKE_TOOLCHAIN_FILE=.packaging/arm64/toolchain.cmake -D MEMKV_SYSROOT=DIR/root,
# after .packaging/arm64/sysroot.sh DIR.  Tests run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MEMKV_SYSROOT)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_SYSROOT ${MEMKV_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# cortex-a72: the ARMv8.0 baseline. With its largest processor, qemu 7.2 announces an instruction that it then refuses
# (DC CVAP, which libpmem2 would use).
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64-static;-cpu;cortex-a72;-L;${MEMKV_SYSROOT}")

set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_LIBDIR} ${MEMKV_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${MEMKV_SYSROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${MEMKV_SYSROOT})

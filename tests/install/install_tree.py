#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs a build into an empty folder, uses it from there as strangers would, and takes it away again.

    install_tree.py BUILD SOURCE

C by pkg-config and by find_package(), every public header alone in C++, the tool; all of it run, before and after the
tree has been moved.  Then uninstall: what was in the prefix before is there, and nothing else.
"""
import os
import shutil
import subprocess
import sys
import tempfile

STRICT = ["-pedantic-errors", "-Wall", "-Wextra", "-Werror"]
BOOKKEEPING = ("install_manifest.txt", "install_folders.txt")


class Wrong(Exception):
    pass


def run(*command, env=None, expect=0):
    done = subprocess.run(command, capture_output=True, env={**os.environ, **(env or {})}, check=False)
    out = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if (done.returncode == 0) != (expect == 0):
        raise Wrong(f"{' '.join(command)}\nended with {done.returncode}:\n{out}")
    return out


def expect(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def tree(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, folders, files in os.walk(folder)
                  for name in folders + files)


def fresh(folder, name):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        os.unlink(path)
    return path


def library_folder(prefix):
    found = [at for at, _, files in os.walk(prefix) if "libmemkv.so" in files]
    expect(len(found) == 1, f"libmemkv.so lies in {found}")
    return found[0]


def use_pkg_config(prefix, scratch, source):
    libraries = library_folder(prefix)
    env = {"PKG_CONFIG_PATH": os.path.join(libraries, "pkgconfig"), "LD_LIBRARY_PATH": libraries}
    consumer = os.path.join(scratch, "by_pkg_config")
    flags = run("pkg-config", "--cflags", "--libs", "memkv", env=env).split()
    expect(not any(word in flags for word in ("-luring", "-lpmem2", "-lcrypto")), f"private libraries leak: {flags}")
    expect(any(flag.startswith("-I" + os.path.dirname(prefix)) for flag in flags), f"{flags} do not point into {prefix}")
    run("cc", "-std=c11", *STRICT, os.path.join(source, "tests/install/consumer.c"), "-o", consumer, *flags)
    said = run(consumer, fresh(scratch, "consumer.pool"), env=env)
    version = run("pkg-config", "--modversion", "memkv", env=env).strip()
    expect(said == f"consumer of memkv {version}: 100000 bytes came back\n", f"the consumer said: {said}")
    if not os.path.exists(os.path.join(libraries, "libmemkv.a")):
        return
    flags = run("pkg-config", "--static", "--cflags", "--libs", "memkv", env=env).split()
    flags = [os.path.join(libraries, "libmemkv.a") if flag == "-lmemkv" else flag for flag in flags]
    run("cc", "-std=c11", *STRICT, os.path.join(source, "tests/install/consumer.c"), "-o", consumer, *flags)
    expect("memkv" not in run("readelf", "-d", consumer), "the static consumer needs the shared library")
    run(consumer, fresh(scratch, "consumer.pool"))


def write_headers_alone(scratch, prefix):
    headers = sorted(os.listdir(os.path.join(prefix, "include/memkv")))
    expect("memkv.h" in headers and "pool.h" in headers, f"installed headers: {headers}")
    main = ["int main() {", "\treturn 0"]
    files = []
    for header in headers:
        name = header.removesuffix(".h")
        files.append(f"alone_{name}.cc")
        with open(os.path.join(scratch, files[-1]), "w", encoding="utf-8") as f:
            f.write(f"#include <memkv/{header}>\nint alone_{name}() {{ return sizeof(&memkv_strerror) == 0; }}\n"
                    if name in ("memkv", "error", "pool") else
                    f"#include <memkv/{header}>\nint alone_{name}() {{ return 0; }}\n")
        main.append(f"\t       + alone_{name}()")
    main.append('\t       + (memkv_version()[0] == 0);\n}')
    with open(os.path.join(scratch, "alone_main.cc"), "w", encoding="utf-8") as f:
        f.write("#include <memkv/memkv.h>\n" + "".join(f"int {file[:-3]}();\n" for file in files) + "\n".join(main) + "\n")
    return files + ["alone_main.cc"]


def use_find_package(prefix, scratch, source, version):
    project = os.path.join(scratch, "project")
    shutil.rmtree(project, ignore_errors=True)
    os.mkdir(project)
    shutil.copy(os.path.join(source, "tests/install/consumer.c"), project)
    shutil.copy(os.path.join(source, "tests/install/consumer.cmake"), os.path.join(project, "CMakeLists.txt"))
    files = write_headers_alone(project, prefix)
    static = os.path.exists(os.path.join(library_folder(prefix), "libmemkv.a"))
    configure = ["cmake", "-S", project, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DALONE={';'.join(files)}"]
    major, minor = (int(n) for n in version.split(".")[:2])
    for wanted in (f"{major + 1}.0", f"{major}.{minor + 1}"):
        run(*configure, "-B", os.path.join(project, "refused"), f"-DWANTED={wanted}", expect=1)
    if not static:
        said = run(*configure, "-B", os.path.join(project, "refused2"), "-DSTATIC=ON", expect=1)
        expect("static library" in said, f"what is missing is not named: {said}")
    built = os.path.join(project, "built")
    run(*configure, "-B", built, f"-DWANTED={major}.{minor}", f"-DSTATIC={'ON' if static else 'OFF'}")
    run("cmake", "--build", built)
    for program in ["consumer", "consumer_static"][:1 + static]:
        said = run(os.path.join(built, program), fresh(scratch, "consumer.pool"))
        expect("100000 bytes came back" in said, f"{program} said: {said}")
    run(os.path.join(built, "headers"))


def use_tool(prefix, scratch):
    memkv, pool = os.path.join(prefix, "bin/memkv"), fresh(scratch, "tool.pool")
    block, back = os.path.join(scratch, "block"), os.path.join(scratch, "back")
    with open(block, "wb") as f:
        f.write(bytes(range(256)) * 500)
    run(memkv, "pool", "create", pool, "--size", "16M")
    run(memkv, "put", pool, "--name", "a block", block)
    run(memkv, "get", pool, "--name", "a block", "-o", back)
    with open(block, "rb") as a, open(back, "rb") as b:
        expect(a.read() == b.read(), "the tool gave other bytes back")
    return run(memkv, "version").split()[-1]


def files_wanted(prefix, source):
    """what must have come along"""
    there = set(tree(prefix))
    for page in os.listdir(os.path.join(source, "cli/man")) if os.path.isdir(os.path.join(source, "cli/man")) else []:
        if page[-2:-1] == "." and page[-1].isdigit():
            expect(f"share/man/man{page[-1]}/{page}" in there, f"the page {page} was not installed")
    completions = os.path.join(source, "cli/completion")
    for name in os.listdir(completions) if os.path.isdir(completions) else []:
        if name.endswith(".bash"):
            expect(f"share/bash-completion/completions/{name.removesuffix('.bash')}" in there, f"{name} was not installed")
        if name.startswith("_"):
            expect(f"share/zsh/site-functions/{name}" in there, f"{name} was not installed")
    for path in ("bin/memkv", "share/doc/memkv/README.md", "share/doc/memkv/FORMAT.md"):
        expect(path in there, f"{path} was not installed")
    library = os.path.join(library_folder(prefix), "libmemkv.so")
    expect(os.readlink(library) == "libmemkv.so.0", "libmemkv.so does not point to its SONAME")
    expect("libmemkv.so.0]" in run("readelf", "-d", library), "the library's SONAME is not libmemkv.so.0")


def install_and_use(build, source, scratch):
    prefix, moved = os.path.join(scratch, "prefix"), os.path.join(scratch, "moved")
    os.makedirs(os.path.join(prefix, "share/man"))  # somebody else's: a file and an empty folder
    with open(os.path.join(prefix, "share/theirs"), "w", encoding="utf-8") as f:
        f.write("theirs\n")
    before = tree(prefix)
    run("cmake", "--install", build, "--prefix", prefix)
    count = len(tree(prefix)) - len(before)
    expect(count > 10, f"only {count} files and folders were installed")
    files_wanted(prefix, source)
    version = use_tool(prefix, scratch)
    use_pkg_config(prefix, scratch, source)
    use_find_package(prefix, scratch, source, version)
    os.rename(prefix, moved)
    use_tool(moved, scratch)
    use_pkg_config(moved, scratch, source)
    use_find_package(moved, scratch, source, version)
    os.rename(moved, prefix)
    run("cmake", "--build", build, "--target", "uninstall")
    expect(tree(prefix) == before, f"uninstall left, or took: {sorted(set(tree(prefix)) ^ set(before))}")
    said = run("cmake", "--build", build, "--target", "uninstall", expect=1)
    expect("nothing is installed" in said, f"a second uninstall said: {said}")
    staged = os.path.join(scratch, "staged")
    run("cmake", "--install", build, "--prefix", "/opt/memkv", env={"DESTDIR": staged})
    expect(os.path.exists(staged + "/opt/memkv/bin/memkv"), "DESTDIR was not heeded")
    run("cmake", "--build", build, "--target", "uninstall", env={"DESTDIR": staged})
    expect(not os.path.exists(staged), f"uninstall with DESTDIR left {tree(staged)}")
    print(f"{count} files and folders installed, used, moved, used, and taken away without a trace")


def main():
    build, source = (os.path.abspath(path) for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as scratch:
        kept = [name for name in BOOKKEEPING if os.path.exists(os.path.join(build, name))]
        for name in kept:  # of an install that somebody wants to undo some day
            shutil.move(os.path.join(build, name), os.path.join(scratch, name))
        try:
            install_and_use(build, source, scratch)
        except Wrong as wrong:
            print(wrong)
            return 1
        finally:
            for name in BOOKKEEPING:
                if os.path.exists(os.path.join(build, name)):
                    os.unlink(os.path.join(build, name))
            for name in kept:
                shutil.move(os.path.join(scratch, name), os.path.join(build, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where, and `uninstall`, which takes it away again.  Included by CMakeLists.txt.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(MEMKV_CMAKEDIR ${CMAKE_INSTALL_LIBDIR}/cmake/memkv)
set(MEMKV_PKGCONFIGDIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(MEMKV_BASH_COMPLETIONS ${CMAKE_INSTALL_DATADIR}/bash-completion/completions CACHE STRING
    "where bash looks for completions")
set(MEMKV_ZSH_COMPLETIONS ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "where zsh looks for completions")

foreach(folder LIBDIR INCLUDEDIR BINDIR)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${folder}})
    message(FATAL_ERROR "CMAKE_INSTALL_${folder} is to be relative to the prefix, and is ${CMAKE_INSTALL_${folder}}")
  endif()
endforeach()

# Anywhere but below /usr the tree may be moved: the tool finds its library, and the .pc file its prefix, from where
# they lie themselves.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(MEMKV_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /${MEMKV_PKGCONFIGDIR} /)
  string(REGEX REPLACE "/$" "" up ${up})
  set(MEMKV_PC_PREFIX "\${pcfiledir}/${up}")
  file(RELATIVE_PATH lib_from_bin /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
  set_target_properties(memkv_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${lib_from_bin}")
endif()

# Before anything is installed: which of the folders are ours?  `uninstall` takes away those, and no others.
file(GLOB man_pages CONFIGURE_DEPENDS cli/man/*.[1-8])
file(GLOB bash_completions CONFIGURE_DEPENDS cli/completion/*.bash)
file(GLOB zsh_completions CONFIGURE_DEPENDS cli/completion/_*)
file(GLOB schemas CONFIGURE_DEPENDS cli/schema/*.json)
set(MEMKV_FOLDERS ${CMAKE_INSTALL_BINDIR} ${MEMKV_CMAKEDIR} ${MEMKV_PKGCONFIGDIR} ${CMAKE_INSTALL_INCLUDEDIR}/memkv
    ${CMAKE_INSTALL_DOCDIR}/examples)
foreach(page ${man_pages})
  string(REGEX REPLACE ".*\\." "" section ${page})
  list(APPEND MEMKV_FOLDERS ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
if(bash_completions)
  list(APPEND MEMKV_FOLDERS ${MEMKV_BASH_COMPLETIONS})
endif()
if(zsh_completions)
  list(APPEND MEMKV_FOLDERS ${MEMKV_ZSH_COMPLETIONS})
endif()
if(schemas)
  list(APPEND MEMKV_FOLDERS ${CMAKE_INSTALL_DATADIR}/memkv/schema)
endif()
# udev, sysusers and systemd look below /usr, /usr/local and /etc; anywhere else these are there to be copied
set(MEMKV_UDEVDIR lib/udev/rules.d)
set(MEMKV_SYSUSERSDIR lib/sysusers.d)
set(MEMKV_UNITDIR lib/systemd/system)
list(APPEND MEMKV_FOLDERS ${MEMKV_UDEVDIR} ${MEMKV_SYSUSERSDIR} ${MEMKV_UNITDIR}/nvmf-autoconnect.service.d)
list(REMOVE_DUPLICATES MEMKV_FOLDERS)
install(CODE "set(folders \"${MEMKV_FOLDERS}\")\nset(record \"${PROJECT_BINARY_DIR}/install_folders.txt\")")
install(SCRIPT .packaging/note_folders.cmake)

install(TARGETS memkv EXPORT memkv)
if(MEMKV_STATIC)
  install(TARGETS memkv_static EXPORT memkv_static)
  install(EXPORT memkv_static NAMESPACE memkv:: DESTINATION ${MEMKV_CMAKEDIR} FILE memkv-static.cmake)
endif()
install(TARGETS memkv_cli)
install(DIRECTORY include/memkv DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

install(EXPORT memkv NAMESPACE memkv:: DESTINATION ${MEMKV_CMAKEDIR} FILE memkv-shared.cmake)
configure_package_config_file(.packaging/memkv-config.cmake.in ${PROJECT_BINARY_DIR}/memkv-config.cmake
  INSTALL_DESTINATION ${MEMKV_CMAKEDIR})
# 0.x: the ABI may change with the minor number
write_basic_package_version_file(${PROJECT_BINARY_DIR}/memkv-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/memkv-config.cmake ${PROJECT_BINARY_DIR}/memkv-config-version.cmake
  DESTINATION ${MEMKV_CMAKEDIR})

configure_file(.packaging/memkv.pc.in ${PROJECT_BINARY_DIR}/memkv.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/memkv.pc DESTINATION ${MEMKV_PKGCONFIGDIR})

foreach(page ${man_pages})
  string(REGEX REPLACE ".*\\." "" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
foreach(completion ${bash_completions})
  get_filename_component(command ${completion} NAME_WE)
  install(FILES ${completion} DESTINATION ${MEMKV_BASH_COMPLETIONS} RENAME ${command})
endforeach()
install(FILES ${zsh_completions} DESTINATION ${MEMKV_ZSH_COMPLETIONS})

install(FILES ${schemas} DESTINATION ${CMAKE_INSTALL_DATADIR}/memkv/schema)
install(FILES README.md core/format/FORMAT.md core/scaling.svg DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES cli/OPERATION.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES core/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME ARCHITECTURE.md)
file(GLOB example_files CONFIGURE_DEPENDS examples/*.c)
install(FILES ${example_files} DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# the rule runs the tool, and knows only now where that lies
install(CODE "set(MEMKV_TOOL \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/memkv)
configure_file(${PROJECT_SOURCE_DIR}/.packaging/system/65-memkv.rules.in ${PROJECT_BINARY_DIR}/65-memkv.rules @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/65-memkv.rules DESTINATION ${MEMKV_UDEVDIR})
install(FILES .packaging/system/sysusers.conf DESTINATION ${MEMKV_SYSUSERSDIR} RENAME memkv.conf)
install(FILES .packaging/system/nvmf-autoconnect.conf DESTINATION ${MEMKV_UNITDIR}/nvmf-autoconnect.service.d RENAME memkv.conf)

add_custom_target(uninstall
  COMMAND ${CMAKE_COMMAND} -D build=${PROJECT_BINARY_DIR} -P ${PROJECT_SOURCE_DIR}/.packaging/uninstall.cmake
  VERBATIM)

# Native modules: folders of C files that are linked into the program (include/moonherd/module.h, docs/modules.md).
set(MOONHERD_MODULES "" CACHE STRING "folders of native modules to link in, separated by semicolons")

# mh_native_module(DIR OUT): the static library of one folder; its name goes to the variable OUT.
function(mh_native_module dir out)
  get_filename_component(dir "${dir}" ABSOLUTE BASE_DIR "${PROJECT_SOURCE_DIR}")
  get_filename_component(name "${dir}" NAME)
  file(GLOB sources CONFIGURE_DEPENDS "${dir}/*.c")
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$" OR NOT sources)
    message(FATAL_ERROR "native module ${dir}: want a folder of C files with a name of small letters, digits and _")
  endif()
  if(NOT TARGET mh_module_${name})
    add_library(mh_module_${name} STATIC ${sources})
    target_include_directories(mh_module_${name} PRIVATE "${PROJECT_SOURCE_DIR}/include" "${dir}")
    target_link_libraries(mh_module_${name} PRIVATE mh_flags)
    if(EXISTS "${dir}/module.cmake") # further libraries: target_link_libraries(${MODULE} PUBLIC ...)
      set(MODULE mh_module_${name})
      include("${dir}/module.cmake")
    endif()
  endif()
  set(${out} ${name} PARENT_SCOPE)
endfunction()

# mh_link_modules(TARGET DIR...): links them, with the table that main.c takes them from.
function(mh_link_modules target)
  set(declared "")
  set(listed "")
  foreach(dir IN LISTS ARGN)
    mh_native_module("${dir}" name)
    string(APPEND declared "extern const struct mh_module mh_module_${name};\n")
    string(APPEND listed "&mh_module_${name}, ")
    target_link_libraries(${target} PRIVATE mh_module_${name})
  endforeach()
  set(table "${CMAKE_CURRENT_BINARY_DIR}/${target}_modules.c")
  file(GENERATE OUTPUT "${table}" CONTENT "/* Made by core/modules.cmake. */
#include \"moonherd/module.h\"

${declared}
extern const struct mh_module *const mh_modules_table[];
const struct mh_module *const mh_modules_table[] = { ${listed}NULL };
")
  target_sources(${target} PRIVATE "${table}")
endfunction()

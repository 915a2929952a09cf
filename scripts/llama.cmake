# Included by CMake after project("llama.cpp"), when scripts/llama.py has llama-cpp-python built. For 0.3.36; with
# another version see that the names of files below are still there.

# libllama-common and cpp-httplib: what llama.cpp's own programs share. llama-cpp-python forces the cache variable on;
# in this project a normal variable hides it.
set(LLAMA_BUILD_COMMON OFF)

# Files of libllama compiled as one: standard templates (std::regex above all) are compiled once for each file that
# uses them. Flags stay as they are. Groups are no larger, so that several cores have work to the end.
set(XQE_TEXT llama-grammar llama-sampler llama-vocab unicode)
set(XQE_MODEL llama-model llama-model-loader llama-quant)
set(XQE_MEMORY llama-adapter llama-batch llama-kv-cache llama-kv-cache-dsa llama-kv-cache-dsa-iswa llama-kv-cache-iswa
    llama-kv-cache-msa llama-memory llama-memory-hybrid llama-memory-hybrid-idx llama-memory-hybrid-iswa
    llama-memory-recurrent llama-model-saver)

function(xqe_group_sources)
    get_target_property(folder llama SOURCE_DIR)
    foreach(group TEXT MODEL MEMORY)
        foreach(name IN LISTS XQE_${group})
            set_source_files_properties(${folder}/${name}.cpp TARGET_DIRECTORY llama PROPERTIES
                SKIP_UNITY_BUILD_INCLUSION OFF UNITY_GROUP ${group})
        endforeach()
    endforeach()
    # llama.cpp itself puts the architectures together by sixteen; with groups that has to be said for each.
    file(GLOB models ${folder}/models/*.cpp)
    set(count 0)
    foreach(file IN LISTS models)
        math(EXPR group "${count} / 16")
        math(EXPR count "${count} + 1")
        set_source_files_properties(${file} TARGET_DIRECTORY llama PROPERTIES UNITY_GROUP models${group})
    endforeach()
    set_target_properties(llama PROPERTIES UNITY_BUILD_MODE GROUP)
    set_target_properties(vendor-hash PROPERTIES EXCLUDE_FROM_ALL ON)  # for llama.cpp's programs, too
endfunction()
cmake_language(DEFER CALL xqe_group_sources)  # at the end of llama.cpp's CMakeLists.txt, when there is a target

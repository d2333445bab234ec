//! httpd's and APR's C interface, as bindgen read it from apache-headers/wrapper.h. Raw: the safe
//! wrappers are in `httpd`.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code, missing_docs)]
#![allow(unsafe_op_in_unsafe_fn, clippy::all, clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

/// The Rust half of the proof that these structs are C's; shim.c holds the other one.
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<conn_rec>() == wsroute_layout_WSROUTE_SIZEOF_CONN_REC as usize);
    assert!(size_of::<request_rec>() == wsroute_layout_WSROUTE_SIZEOF_REQUEST_REC as usize);
    assert!(size_of::<server_rec>() == wsroute_layout_WSROUTE_SIZEOF_SERVER_REC as usize);
    assert!(size_of::<module>() == wsroute_layout_WSROUTE_SIZEOF_MODULE as usize);
    assert!(offset_of!(conn_rec, sbh) == wsroute_layout_WSROUTE_OFFSETOF_CONN_REC_SBH as usize);
    assert!(offset_of!(conn_rec, cs) == wsroute_layout_WSROUTE_OFFSETOF_CONN_REC_CS as usize);
    assert!(
        offset_of!(conn_rec, output_filters)
            == wsroute_layout_WSROUTE_OFFSETOF_CONN_REC_OUTPUT_FILTERS as usize
    );
    assert!(
        offset_of!(conn_rec, master) == wsroute_layout_WSROUTE_OFFSETOF_CONN_REC_MASTER as usize
    );
    assert!(
        offset_of!(request_rec, headers_in)
            == wsroute_layout_WSROUTE_OFFSETOF_REQUEST_REC_HEADERS_IN as usize
    );
    assert!(
        offset_of!(request_rec, input_filters)
            == wsroute_layout_WSROUTE_OFFSETOF_REQUEST_REC_INPUT_FILTERS as usize
    );
    assert!(
        offset_of!(request_rec, bytes_sent)
            == wsroute_layout_WSROUTE_OFFSETOF_REQUEST_REC_BYTES_SENT as usize
    );
    assert!(
        offset_of!(request_rec, useragent_ip)
            == wsroute_layout_WSROUTE_OFFSETOF_REQUEST_REC_USERAGENT_IP as usize
    );
};

//! What the fuzz targets share.

pub mod comp;
pub mod mip6;
pub mod rfc7252;
pub mod script;

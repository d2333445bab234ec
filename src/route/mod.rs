//! Where a request belongs: key, resolver, owner.

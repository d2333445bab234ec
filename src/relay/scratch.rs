//! A buffer that bytes pass through from one system call to the next.

/// What a processor compares of two addresses first, and the smallest page of a kernel.
const PAGE: usize = 4096;

/// Begins in the middle of a page. The kernel's own copy mostly begins with a page, and a processor
/// that copies between two addresses whose last 12 bits are close to each other waits for stores that
/// have nothing to do with its loads: measured, a message of 64 KiB then costs up to twice as much.
pub struct ScratchBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl ScratchBuffer {
    /// Room for `len` bytes.
    pub fn new(len: usize) -> ScratchBuffer {
        let memory = vec![0; len + PAGE];
        let into_page = memory.as_ptr() as usize % PAGE;
        let start = (PAGE + PAGE / 2 - into_page) % PAGE;
        ScratchBuffer { memory, start, len }
    }

    /// The buffer, with what was left in it.
    pub fn get(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_in_the_middle_of_a_page() {
        for len in [1, 100, PAGE, 260 * 1024] {
            let mut buffer = ScratchBuffer::new(len);
            assert_eq!(buffer.get().len(), len);
            assert_eq!(buffer.get().as_ptr() as usize % PAGE, PAGE / 2);
        }
    }
}

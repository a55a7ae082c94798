//! Pure machines: values in, values out. No I/O, no clock, no spawning, no logging.

//! Media in and out: images, folders of frames, videos.

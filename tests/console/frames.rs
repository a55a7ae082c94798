//! What a person sees, at the sizes they have.

use super::Stage;

#[tokio::test]
async fn look() {
    for (w, h, keys) in [
        (80, 24, "jjjj"),
        (120, 40, "jj<space>jjj"),
        (40, 12, ""),
        (80, 24, "2"),
        (160, 30, "j"),
        (80, 24, "d"),
        (80, 24, "!"),
        (100, 24, "jyj"),
        (80, 24, "Tr"),
        (60, 20, "jjjjj"),
        (40, 12, "2"),
        (80, 24, "jjjjjri"),
        (20, 5, ""),
        (80, 24, "je"),
    ] {
        let stage = Stage::fleet().await.sized(w, h);
        println!("=== {w}x{h} {keys}\n{}", stage.after(keys).await);
    }
}

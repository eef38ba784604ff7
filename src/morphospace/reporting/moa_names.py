"""What the scores of mechanisms and their floors are called for people."""

SCORES = {
    "NSC": "NSC: the nearest treatment of another compound has the mechanism",
    "NSCB": "NSCB: the same, other batches only",
    "mAP": "mAP of mechanisms, among other compounds",
    "mAP_replicates": "mAP of replicate wells, among negative controls",
    "top_hit": "Top hits of a compound that is left out",
}
SHORT = {"mAP_replicates": "mAP of replicates", "top_hit": "top hits"}
FLOORS = {
    "uniform": "a neighbour at random",
    "same_batch": "one of the same batch",
    "same_layout": "one of the same well position",
    "cell_count": "number of cells",
    "mean_intensity": "mean intensity",
    "random_projection": "random projection",
    "pca": "PCA of pixels",
}

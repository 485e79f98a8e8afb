package nodespec

// ImageRepository is where kluster's node images live: "kluster/node:v1.36.3-0123456789ab".
const ImageRepository = "kluster/node"

"""Attribution: shares, references, and every class that is explained."""

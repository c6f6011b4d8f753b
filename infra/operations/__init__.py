"""Operations on a deployed stack, each with its verb; the Pulumi program uses none of them."""

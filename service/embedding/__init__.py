"""From text to vectors: the splitter that makes chunks and the models that embed them."""
